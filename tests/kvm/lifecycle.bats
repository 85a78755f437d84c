#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The life of a guest on one host: start, look, pause, end, and what is left behind (nothing).

load helper

WORK="workset=4M rate=50000 fill=16M"

@test "a guest runs, and status says what it is" {
	start A bird --memory 256M --append "$WORK"
	lives A bird
	[ "$(field A bird name)" = bird ]
	[ "$(field A bird pid)" = "$RUN" ]
	[ "$(field A bird cpus)" = 1 ]
	[ "$(field A bird memory_bytes)" = $((256 << 20)) ]
	[ "$(field A bird serial)" = none ]
	[[ $(field A bird tracking) =~ ^(ring|log)$ ]]
	[ "$(field A bird uptime_ns)" -gt 0 ]
	run on A status bird
	[[ $output =~ state\ +running ]]
	run on A list
	[[ $output =~ bird\ +running\ +$RUN ]]
	[ "$(on A list --json | perl -MJSON::PP -0777 -ne 'print scalar @{decode_json($_)}')" = 1 ]
}

@test "pause stops the guest, resume lets it go on, both may be repeated" {
	start A bird --memory 256M --append "$WORK"
	[ "$(on A pause bird)" = "guest bird is paused" ]
	[ "$(on A pause bird)" = "guest bird was paused already" ]
	[ "$(field A bird state)" = paused ]
	before=$(report A bird heartbeat)
	for _ in 1 2 3 4 5; do on A status bird >/dev/null; done
	[ "$(report A bird heartbeat)" = "$before" ]
	[ "$(on A resume bird)" = "guest bird goes on" ]
	[ "$(on A resume bird)" = "guest bird was not paused" ]
	lives A bird
}

@test "--paused waits for resume" {
	WATARI_RUNTIME_DIR=$PWD/A "$W" run --name bird --kernel guest.elf --memory 256M \
		--append "$WORK" --serial none --paused >bird.log 2>&1 3>&- &
	until_ok 10 on A status bird
	[ "$(field A bird state)" = paused ]
	run ! report A bird heartbeat
	on A resume bird
	until_ok 30 working A bird
	lives A bird
}

@test "two vCPUs work side by side" {
	start A bird --cpus 2 --memory 256M --append "$WORK cpus=2"
	lives A bird
	[ "$(field A bird cpus)" = 2 ]
}

@test "kill ends the guest and frees its name at once" {
	start A bird --memory 256M --append "$WORK"
	[ "$(on A kill bird)" = "guest bird is ended" ]
	empty A
	wait "$RUN"
	start A bird --memory 256M --append "$WORK"
	lives A bird
}

@test "a name in use is refused, the guest untouched" {
	start A bird --memory 256M --append "$WORK"
	fails "lives here already" on A run --name bird --kernel guest.elf --memory 256M
	lives A bird
	fails "lives here already" on A run --name bird --kernel guest.elf --memory 256M
}

@test "SIGTERM, SIGINT and SIGHUP clean up and exit 0" {
	for s in TERM INT HUP; do
		start A bird --memory 256M --append "$WORK"
		kill -$s "$RUN"
		wait "$RUN"
		empty A
		grep -q "SIG$s" bird.log
	done
}

@test "after kill -9 the name can be used again" {
	start A bird --memory 256M --append "$WORK"
	kill -9 "$RUN"
	wait "$RUN" || true
	[ -S A/bird.sock ]
	start A bird --memory 256M --append "$WORK"
	lives A bird
	kill -9 "$RUN"
	wait "$RUN" || true
	[ "$(on A list --json)" = "[]" ]
	empty A
}

@test "a kernel that is none: one sentence, nothing left" {
	head -c 1000 guest.elf >short.elf
	head -c 100000 /dev/urandom >noise
	echo '#!/bin/sh' >script
	fails "short.elf" on A run --name bird --memory 256M --kernel short.elf
	fails "noise" on A run --name bird --memory 256M --kernel noise
	fails "script" on A run --name bird --memory 256M --kernel script
	empty A
}

@test "a serial file that cannot be opened: one sentence, nothing left" {
	fails "no/such" on A run --name bird --memory 256M --kernel guest.elf --serial file:/no/such/dir/f
	empty A
}

@test "garbage on the control socket does not disturb the guest" {
	start A bird --memory 256M --append "$WORK"
	for line in '' 'what' '[]' '{"op":"fly"}' '{"op":7}' '{"op":"migrate"}' \
		'{"op":"migrate","to":7}' '{"op":"migrate","to":"nowhere"}' \
		'{"op":"migrate","to":"h:1","streams":99}' \
		'{"op":"migrate","to":"h:1","transport":"pigeon"}' \
		'{"op":"migrate","to":"h:1","downtime_limit_ns":0}' \
		'{"op":"migrate","to":"h:1","on_stall":"cry"}' \
		"$(head -c 100000 /dev/zero | tr '\0' '[')"; do
		run "$TOOLS/ctl" "$PWD/A" bird "$line"
		echo "$output"
		[[ $output == '{"ok":false,"error":"'* ]]
	done
	lives A bird
}

@test "on a terminal Ctrl-A x ends the guest and gives the terminal back" {
	command -v script >/dev/null || skip "script(1) is not installed"
	mkfifo keys
	cat >session <<-EOF
		stty -g >before
		WATARI_RUNTIME_DIR=$PWD/A $W run --name bird --kernel guest.elf --memory 256M
		echo "status \$?" >end
		stty -g >after
	EOF
	script -qec "bash session" /dev/null <keys >screen 2>&1 3>&- &
	exec 9>keys
	until_ok 30 on A status bird
	printf '\001h\001p' >&9
	until_ok 10 grep -q 'send Ctrl-A' screen
	until_ok 10 paused A bird
	printf '\001p\001x' >&9
	until_ok 10 grep -q status end
	until_ok 10 test -s after
	exec 9>&-
	[ "$(cat end)" = "status 0" ]
	[ "$(cat before)" = "$(cat after)" ]
	empty A
}

paused() {
	[ "$(field "$1" "$2" state)" = paused ]
}
