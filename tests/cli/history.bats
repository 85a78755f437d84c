#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# watari history: what is in the files is shown, whatever else is in them.

load helper

# line GUEST RESULT TOTAL BLACKOUT [ERROR]: one line as a guest's process writes it.
line() {
	printf '{"time":"2026-11-25T10:00:00.000Z","guest":"%s","direction":"out","from":"here","to":"there:1","result":"%s","total_ns":%s,"blackout":{"total_ns":%s}%s}\n' \
		"$1" "$2" "$3" "$4" "${5:+,\"error\":\"$5\"}"
}

@test "no state directory, no moves, no error" {
	run --separate-stderr "$W" history
	[ "$status" -eq 0 ]
	[ -z "$output" ] && [ -z "$stderr" ]
	[ ! -e "$WATARI_STATE_DIR" ]
}

@test "both files are shown, oldest first, one guest alone if asked" {
	mkdir state
	line bird moved 1500000000 800000 >state/history.jsonl.1
	line fish failed 2000000 0 "it rained" >state/history.jsonl
	run "$W" history
	echo "$output"
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[0]} == TIME*BLACKOUT* ]]
	[[ ${lines[1]} == 2026-11-25T10:00:00.000Z*bird*here*there:1*moved*"1.50 s"*"800 us"* ]]
	[[ ${lines[2]} == *fish*failed*- ]]
	[[ ${lines[3]} == *"it rained" ]]
	run "$W" history bird
	[ "${#lines[@]}" -eq 2 ]
	[ -z "$("$W" history nobody)" ]
	run "$W" history --json fish
	[ "$output" = "$(cat state/history.jsonl)" ]
}

@test "lines that are no moves are passed over and counted" {
	mkdir state
	{
		echo '{"guest":'
		line bird moved 1 1
		echo '[]'
		head -c 40000 /dev/zero | tr '\0' x
		echo
		line bird moved 2 2
		printf '{"guest":"bird"'
	} >state/history.jsonl
	run --separate-stderr "$W" history --json
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ $stderr == *"4 lines"* ]]
}

@test "a name that is none, a state directory that is none" {
	fails 1 "../bird" "$W" history ../bird
	: >state
	fails 1 "state directory" "$W" history
}

@test "status and run: a guest that left is named with where it went, and not started here by habit" {
	mkdir state
	: >kernel
	line bird moved 1 1 >state/history.jsonl
	line bird failed 1 1 "no" >>state/history.jsonl # says nothing of where it is
	fails 1 "there is no guest named 'bird' here: it moved to there:1 at 2026-11-25" "$W" status bird
	fails 1 "there is no guest named 'fish' in " "$W" status fish
	fails 1 "guest bird moved to there:1 on 2026-11-25T10:00:00.000Z and may run there; --force" \
		"$W" run --name bird --kernel kernel --memory 64M
	fails 1 "/kernel is empty" "$W" run --name fish --kernel kernel --memory 64M
	# a start that was forced and did not come about says nothing
	fails 1 "/kernel is empty" "$W" run --name bird --kernel kernel --memory 64M --force
	fails 1 "may run there; --force" "$W" run --name bird --kernel kernel --memory 64M
	# forced once, it is this host's again
	echo '{"time":"2026-11-25T11:00:00.000Z","guest":"bird","direction":"-","from":"-","to":"-","result":"forced"}' \
		>>state/history.jsonl
	[[ $("$W" history bird | tail -n 1) == *forced* ]]
	fails 1 "/kernel is empty" "$W" run --name bird --kernel kernel --memory 64M
	fails 1 "there is no guest named 'bird' in " "$W" status bird
	# and so it is when it came back
	line bird moved 1 1 >>state/history.jsonl
	line bird moved 1 1 | sed 's/"out"/"in"/' >>state/history.jsonl
	fails 1 "/kernel is empty" "$W" run --name bird --kernel kernel --memory 64M
}

@test "cancel: who has just left is named with where it went" {
	mkdir state
	line bird failed 1 1 "no" >state/history.jsonl
	fails 1 "no guest named 'bird'" "$W" cancel bird
	line bird moved 1 1 >>state/history.jsonl
	fails 1 "it is too late: guest 'bird' moved to there:1 at 2026-11-25" "$W" cancel bird
}
