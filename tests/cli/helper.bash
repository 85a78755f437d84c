# SPDX-License-Identifier: Apache-2.0
# What the command-line tests share: where the binary is, and what an error must look like.
bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup() {
	W=${WATARI:-build/watari}
	[[ $W == /* ]] || W=$ROOT/$W
	[ -x "$W" ] || skip "there is no binary at $W: run make"
	export WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/run WATARI_STATE_DIR=$BATS_TEST_TMPDIR/state
	cd "$BATS_TEST_TMPDIR" || return 1
}

# fails CODE TEXT COMMAND...: ends with CODE within 5 s, says one sentence with TEXT on stderr,
# nothing on stdout.
fails() {
	local code=$1 text=$2 begin=$EPOCHREALTIME
	shift 2
	run --separate-stderr timeout 10 "$@"
	local took=$(((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}) / 1000))
	echo "status $status after $took ms; stderr: $stderr; stdout: $output"
	[ "$status" -eq "$code" ]
	[ "$took" -lt 5000 ]
	[[ $stderr == *"$text"* ]]
	[[ $stderr == watari* ]]
	[ -z "$output" ]
	[ "$code" -eq 2 ] || [ "${#stderr_lines[@]}" -eq 1 ]
}
