#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The process a receiver keeps ready for the next guest.

load helper

GUEST=(--memory 64M --append "workset=1M rate=5000")

@test "a guest arrives in the process that was ready, and the next one is made ready after it" {
	start A bird "${GUEST[@]}"
	receiver B
	until_ok 10 ready "$RECEIVER"
	before=$(ready "$RECEIVER")
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	[ "$(field B bird pid)" = "$before" ]
	[ "$(cat "/proc/$before/comm")" = watari ]
	until_ok 10 ready "$RECEIVER"
	[ "$(ready "$RECEIVER")" != "$before" ]
}

@test "who only asks has it, too, and leaves nothing" {
	start A bird "${GUEST[@]}"
	receiver B
	until_ok 10 ready "$RECEIVER"
	before=$(ready "$RECEIVER")
	on A check bird --to "127.0.0.1:$PORT" || [ $? -eq 1 ] # a warning is no failure
	until_ok 10 gone "$before"
	until_ok 10 ready "$RECEIVER"
	[ -z "$(incoming "$RECEIVER")" ]
}

@test "killed, it is not missed: the next guest comes all the same, whether that was noticed or not" {
	start A bird "${GUEST[@]}"
	for seen in 0 1; do
		receiver B
		until_ok 10 ready "$RECEIVER"
		before=$(ready "$RECEIVER")
		[ $seen = 1 ] || kill -STOP "$RECEIVER"
		kill -9 "$before"
		[ $seen = 0 ] || until_ok 10 gone "$before"
		[ $seen = 1 ] || kill -CONT "$RECEIVER"
		on A migrate bird --to "127.0.0.1:$PORT"
		lives B bird
		[ "$(field B bird pid)" != "$before" ]
		receiver A
		on B migrate bird --to "127.0.0.1:$PORT"
	done
}

@test "it ends with its receiver, however that ends" {
	for how in TERM KILL; do
		receiver B
		until_ok 10 ready "$RECEIVER"
		before=$(ready "$RECEIVER")
		kill -$how "$RECEIVER"
		until_ok 10 gone "$before"
	done
	empty B
}
