#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How a guest ends, starts again, and what is told of it; a guest in the background; kept definitions.

load helper

@test "stop presses the power button, and the guest powers off" {
	teller
	tell A bird
	[ "$(on A stop bird)" = "guest bird powered off" ]
	wait "$RUN"
	grep -q "guest bird powered off" bird.log
	empty A
}

@test "a guest that is deaf to its button: an error in time, and --force ends it" {
	teller
	tell A bird
	view A bird one
	type_keys '#.'
	until_ok 10 grep -q '\.' one
	fails "has not powered off in 300ms" on A stop bird --timeout 300ms
	[ "$(field A bird state)" = running ]
	[ "$(on A stop bird --timeout 100ms --force)" = \
		"guest bird did not power off in time and is ended" ]
	wait "$RUN"
	empty A
	exec 8>&-
}

@test "a paused guest is not stopped: the error says what to do" {
	teller
	tell A bird
	on A pause bird
	fails "resume it first" on A stop bird
	on A resume bird
	on A stop bird
}

@test "stop hears of another end" {
	teller
	tell A bird
	view A bird one
	type_keys '#.'
	until_ok 10 grep -q '\.' one
	WATARI_RUNTIME_DIR=$PWD/A "$W" stop bird >stop.log 2>&1 3>&- &
	local stop=$!
	until_ok 10 stopping
	on A kill bird
	run ! wait "$stop"
	grep -q "was ended before it powered off" stop.log
	exec 8>&-
}

@test "reset and triple fault start it again, and status says why" {
	teller
	tell A bird
	view A bird one
	until_ok 10 grep -q up one
	[ "$(field A bird last_reset)" = "" ]
	[ "$(on A reset bird)" = "guest bird starts again" ]
	until_ok 10 twice one
	[ "$(field A bird last_reset)" = "asked for from outside" ]
	type_keys '~'
	until_ok 10 faulted
	[ "$(field A bird resets)" = 2 ]
	grep -q "guest bird starts again: triple fault" bird.log
	on A status bird | grep -q 'last reset *triple fault'
	exec 8>&-
}

not_moved() {
	! grep -q '^\[moved' "$1"
}

stopping() {
	[ "$(field A bird stopping)" = 1 ]
}

twice() {
	[ "$(grep -c up "$1")" = 2 ]
}

faulted() {
	[ "$(field A bird last_reset)" = "triple fault" ]
}

panicked() {
	[ "$(field "$1" bird panicked)" = 1 ]
}

@test "a panic is in status, moves with the guest, and a reset forgets it" {
	teller
	tell A bird
	receiver B
	view A bird one
	type_keys '!'
	until_ok 10 panicked A
	exec 8>&-
	on A status bird | grep -q "kernel panicked"
	on A migrate bird --to "127.0.0.1:$PORT"
	panicked B
	on B reset bird
	run ! panicked B
}

@test "run --detach leaves a running guest behind, with a log" {
	teller
	run on A run --name bird --kernel teller.elf --memory 64M --detach --log out
	[ "$status" -eq 0 ]
	[[ $output == "guest bird runs, process "* ]]
	[ "$(field A bird serial)" = socket ]
	[ "$(field A bird pid)" = "${output##* }" ]
	view A bird one
	until_ok 10 grep -q up one
	exec 8>&-
	on A stop bird
	until_ok 10 grep -q "guest bird powered off" out
	empty A
}

@test "run --detach fails as run does, and leaves nothing" {
	teller
	head -c 100 teller.elf >short.elf
	fails "short.elf" on A run --name bird --kernel short.elf --memory 64M --detach
	fails "cannot open the log" on A run --name bird --kernel teller.elf --memory 64M --detach --log /no/dir/x
	fails "has no terminal" on A run --name bird --kernel teller.elf --detach --serial stdio
	empty A
}

@test "the definition is kept, goes with the guest, and says where it went" {
	teller
	printf '[guest]\nname = bird\nkernel = teller.elf\nmemory = 64M\n' >bird.ini
	STATE=$PWD/sa on A run ./bird.ini --detach --log out
	on A show bird >live.ini
	diff <(STATE=$PWD/sa on C show bird) live.ini
	[ "$(stat -c %a sa/bird.ini)" = 600 ]
	STATE=$PWD/sb receiver B
	on A migrate bird --to "127.0.0.1:$PORT"
	grep -q "^to = 127.0.0.1:$PORT" sa/bird.ini
	until_ok 10 test -f sb/bird.ini
	diff <(grep -v '^#' sb/bird.ini) live.ini
	until_ok 10 empty A
	STATE=$PWD/sa fails "guest bird moved to 127.0.0.1:$PORT on" on A run bird
	STATE=$PWD/sa fails "guest bird moved to" on A run bird.ini
	# back again: this host may start it once more
	STATE=$PWD/sa receiver C
	on B migrate bird --to "127.0.0.1:$PORT"
	until_ok 10 not_moved sa/bird.ini
	on C stop bird
	STATE=$PWD/sa on A run bird --detach --log out
	on A kill bird
	[ "$(ls -A sa | grep -v "^history.jsonl")" = bird.ini ]
}

@test "the definition of a guest that does not run moves, and is not lost or doubled" {
	teller
	printf '[guest]\nname = bird\nkernel = teller.elf\nmemory = 64M\nserial = socket\n' >bird.ini
	STATE=$PWD/sa on A run bird.ini --detach --log out
	on A stop bird
	STATE=$PWD/sa on A show bird >was.ini
	STATE=$PWD/sb receiver B
	# another one of that name is in the way
	mkdir sb
	sed 's/64M/65M/' was.ini >sb/bird.ini
	STATE=$PWD/sa fails "another definition of guest 'bird' is kept there already" \
		on A migrate bird --to "127.0.0.1:$PORT"
	run ! grep -q moved sa/bird.ini
	rm sb/bird.ini
	STATE=$PWD/sa run on A migrate bird --to "127.0.0.1:$PORT"
	[ "$output" = "the definition of guest bird, which does not run, moved to 127.0.0.1:$PORT" ]
	diff <(STATE=$PWD/sb on B show bird) was.ini
	STATE=$PWD/sa fails "guest bird moved to 127.0.0.1:$PORT on" on A run bird
	STATE=$PWD/sa fails "moved to 127.0.0.1:$PORT on" on A migrate bird --to "127.0.0.1:$PORT"
	# the same once more, as after a cut between the two
	cp was.ini sa/bird.ini
	STATE=$PWD/sa on A migrate bird --to "127.0.0.1:$PORT"
	STATE=$PWD/sb on B run bird --detach --log out
	on B stop bird
	empty A
}

@test "receive --once takes a definition, too; a guest nobody knows does not move" {
	printf '[guest]\nname = bird\nkernel = guest.elf\nmemory = 64M\n' >bird.ini
	fails "there is no guest named 'heron'" on A migrate heron --to 127.0.0.1:1
	mkdir sa
	on A show ./bird.ini >sa/bird.ini
	STATE=$PWD/sa fails "did not move" on A migrate bird --to 127.0.0.1:1
	STATE=$PWD/sb receiver B --once
	STATE=$PWD/sa on A migrate bird --to "127.0.0.1:$PORT" --json
	wait "$RECEIVER"
	[ -f sb/bird.ini ]
}
