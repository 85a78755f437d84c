#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whatever dies in the hand-over, and wherever: either process by SIGKILL, or the connection, at every
# named point (docs/hacking.md), three times each. Afterwards one host runs the guest, or its only
# copy ended with its owner's process, or both say that they are in doubt and `own` settles it; the
# stamps are right, the image is locked while the guest lives and free when it does not, what is in
# doubt or waits for the storage does not run, and nothing is left behind.

load helper
load crash

TIMES=${CRASH_TIMES:-3}

@test "crashes of the source, by the disk's lock: before the state nothing runs, after it the target does" {
	image
	check crash source-frozen nobody
	check crash source-state-sent B
	check crash source-loaded B
	check crash source-released B
	check crash source-committed B
}

@test "crashes of the target, by the disk's lock: the source goes on, unless the target had become the owner" {
	image
	check crash target-loaded A
	check crash target-told A
	check crash target-acquiring A
	check crash target-acquired nobody
	check crash target-thawed nobody
}

@test "cuts at the source, by the disk's lock: one of the two runs it" {
	image
	check cut source-frozen A
	check cut source-state-sent A
	check cut source-loaded either
	check cut source-released either
	check cut source-committed either
}

@test "cuts at the target, by the disk's lock: one of the two runs it" {
	image
	check cut target-loaded A
	check cut target-told either
	check cut target-acquiring either
	check cut target-acquired B
	check cut target-thawed B
}

@test "a source that dies while it asks the storage leaves the guest to the target" {
	image
	EXPECT=B
	export WATARI_CUT_AT=source-state-sent
	check crash source-arbitrate B
	unset WATARI_CUT_AT
}

@test "whoever is kept from the record does not run the guest, and becomes its owner after that" {
	TIMES=1
	image
	check_kept crash source-committed B
	check_kept crash target-acquiring A
}

@test "without a disk: in doubt has a name, and own settles it" {
	DISK=
	check crash source-frozen nobody
	check crash source-state-sent doubt-B
	check crash source-released doubt-B
	check crash source-committed B
	check crash target-loaded A
	check crash target-told doubt-A
	check crash target-acquiring doubt-A
	check cut source-state-sent A-doubt-B
	check cut target-thawed doubt-A-B
}

@test "a copy in doubt makes room for the guest's next move, and for no other guest of its name" {
	local doubtful
	DISK=
	EXPECT=A-doubt-B
	prepare cut target-loaded
	depart
	verdict "cut at target-loaded"
	[ "$A_IS" = running ]
	doubtful=$(field B bird pid)
	kill "$RECEIVER"
	wait "$RECEIVER" || true
	receiver B
	start C bird --memory 64M
	fails "a guest named 'bird' lives here already" on C migrate bird --to "127.0.0.1:$PORT"
	still B
	on C kill bird
	on A migrate bird --to "127.0.0.1:$PORT"
	grep -q "guest bird, in doubt here, moves here anew: that copy is ended" B.log
	EXPECT=B
	verdict "the next move"
	until_ok 10 gone "$doubtful"
	aftermath
}
