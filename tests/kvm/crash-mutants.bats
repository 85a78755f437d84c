#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The judges of crash.bats would notice: they are shown real processes whose hand-over is broken on
# purpose (tests/kvm/mutant.c), at a point of crash.bats at which it matters. The same program with
# nothing broken passes the same schedule first, so what is found is the fault.

load helper
load crash

# mutant: W is the program that can be broken, and nothing is broken yet.
mutant() {
	W=$W-mutant
	[ -x "$W" ] || { echo "there is no program at $W: run make tests"; return 1; }
}

# passes KIND POINT EXPECT: so it ends with nothing broken. crash.bats looks at more of it.
passes() {
	EXPECT=$3
	prepare "$1" "$2"
	depart
	verdict "$1 at $2"
	sweep
}

# ends_as OUTCOME EXPECT TEXT: what the broken program makes of it is OUTCOME, for good; the verdict
# of who expects EXPECT is TEXT.
ends_as() {
	EXPECT=$1
	until_ok 20 settled || { cat migrate.out bird.log B.log; return 1; }
	EXPECT=$2 SETTLE=0
	found "$3" verdict it
}

# found TEXT JUDGE...: that judge finds it. One that looks whether a guest runs may have to look more
# than once on a machine that lets nobody run.
found() {
	local text=$1 end=$((SECONDS + 20))
	shift
	status=0
	while [ "$status" -eq 0 ] && [ $SECONDS -le $end ]; do
		run "$@"
	done
	echo "$* says: $output"
	[ "$status" -ne 0 ]
	[[ $output == *"$text"* ]]
}

@test "release late: the locks kept over COMMIT, the guest does not move" {
	mutant
	image
	passes cut target-acquired B
	export WATARI_MUTATE=release-late
	prepare cut target-acquired
	depart
	ends_as A B "at A running, at B none, expected B"
}

# Its disk takes the lock with the machine's first step, in nobody's name, and so the record never says N.
@test "thaw early: the target does not wait for the storage's answer, and loses the guest" {
	mutant
	image
	passes crash source-committed B
	export WATARI_MUTATE=target-early
	prepare crash source-committed
	depart
	ends_as nobody B "at A none, at B none, expected B"
}

@test "thaw early: the source does not wait for the storage's answer" {
	mutant
	image
	prepare crash target-acquiring
	look
	depart 3>&- &
	kept A
	sweep
	export WATARI_MUTATE=source-early
	prepare crash target-acquiring
	look
	depart 3>&- &
	found "bird runs on A, which is not its owner" kept A
}

@test "thaw early: without a disk, the target does not wait for COMMIT" {
	mutant
	DISK=
	passes cut source-state-sent A-doubt-B
	export WATARI_MUTATE=target-early
	prepare cut source-state-sent
	depart
	ends_as A-doubt-B A-doubt-B "bird runs on B, which is not its owner"
}

@test "thaw early: without a disk, the source does not wait for the target's promise" {
	mutant
	DISK=
	passes cut target-thawed doubt-A-B
	export WATARI_MUTATE=source-early
	prepare cut target-thawed
	depart
	ends_as doubt-A-B doubt-A-B "bird runs on A, which is not its owner"
}

@test "the epoch ignored: a source goes on after the target ran and died" {
	mutant
	image
	passes crash target-thawed nobody
	export WATARI_MUTATE=no-epoch
	prepare crash target-thawed
	depart
	ends_as A nobody "at A running, at B none, expected nobody"
}
