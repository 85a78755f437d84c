# SPDX-License-Identifier: Apache-2.0
#
# What every command that lab_do gives to an emulated host may use. /lab is the host's own folder,
# /pair the one that both hosts of a pair see.
# Never ends a process it did not start.
# Next in the flow: tests/lab/agent runs the commands.
# shellcheck shell=bash
. /lab/settings

export WATARI_RUNTIME_DIR=/run/watari
mkdir -m 700 -p "$WATARI_RUNTIME_DIR"

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# says PATTERN FILE
says() {
	grep -q "$1" "$2" 2>/dev/null
}

# start NAME COMMAND...: in the background, its output in /lab/NAME and /lab/NAME.errors, its exit
# status in /lab/NAME.status when it ends. Outlives the command of lab_do; prints nothing.
start() {
	local name=$1
	shift
	rm -f "/lab/$name.status"
	(
		"$@" >"/lab/$name" 2>"/lab/$name.errors" </dev/null &
		echo $! >"/lab/$name.pid"
		wait $!
		echo $? >"/lab/$name.status"
	) >/dev/null 2>&1 </dev/null &
	wait_for 10 test -s "/lab/$name.pid"
}

# stop NAME [SIGNAL]: ends what start began, and waits for its end.
stop() {
	kill "-${2:-TERM}" "$(cat "/lab/$1.pid")" 2>/dev/null
	wait_for 20 test -e "/lab/$1.status"
}

# ---- guests --------------------------------------------------------------------------------------

# receiver ADDRESS [OPTION...]: watari receive on port 7777; its output is /lab/receive.
receiver() {
	start receive "$watari" receive --listen "$1:7777" --trust-network "${@:2}"
	wait_for 30 says '^listening on ' /lab/receive
}

# bench_guest NAME WORD...: a bench guest of 384 MiB, or $BENCH_MEMORY; returns when it works on its pages.
bench_guest() {
	local name=$1
	shift
	"$watari" bench guest --output /pair/bench.elf
	start "$name" "$watari" run --force --name "$name" --memory "${BENCH_MEMORY:-384M}" --kernel /pair/bench.elf --serial none \
		--append "$*"
	wait_for 120 bench_runs "$name"
}

bench_says() {
	"$root/tests/kvm/report" "$WATARI_RUNTIME_DIR" "$@"
}

bench_runs() {
	[ "$(bench_says "$1" state 2>/dev/null)" = running ]
}

# bench_lives NAME: it is running, goes on rewriting pages, and has found no bad one.
bench_lives() {
	local before
	"$watari" status "$1" --json | grep -q '"state":"running"' || return 1
	before=$(bench_says "$1" pages_written) || return 1
	wait_for 20 bench_beyond "$1" "$before" && [ "$(bench_says "$1" stamp_errors)" = 0 ]
}

bench_beyond() {
	[ "$(bench_says "$1" pages_written)" -gt "$2" ]
}

# bench_whole NAME: pauses the guest, looks at every page it has filled, lets it go on.
bench_whole() {
	local memory rc
	"$watari" pause "$1" >/dev/null || return 1
	memory=$("$root/tests/kvm/ctl" "$WATARI_RUNTIME_DIR" "$1" '{"op":"memory"}' |
		perl -MJSON::PP -0777 -ne '$_ = decode_json($_); my @r = @{$_->{regions}};
			print "/proc/$_->{pid}/fd/$r[0]{fd}", map { " $_->{gpa} $_->{size} $_->{fd_offset}" } @r')
	"$build/lab/bench-check" $memory
	rc=$?
	"$watari" resume "$1" >/dev/null && return $rc
}
