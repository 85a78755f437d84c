#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Guests that move between two runtime directories of this host, and go on as if nothing had been.

load helper

WORK="workset=4M rate=50000 fill=64M"

@test "there and back: the guest is on one side at a time, and finds every page as it left it" {
	start A bird --memory 256M --append "$WORK"
	receiver A; to_a=$PORT
	receiver B; to_b=$PORT
	age=$(field A bird uptime_ns)
	for i in 1 2 3; do
		run on A migrate bird --to "127.0.0.1:$to_b" --verbose
		echo "$output"
		[ "$status" -eq 0 ]
		[ "$(grep -c '^transport: ' <<<"$output")" -eq 1 ]
		[[ $output == *"guest bird moved to 127.0.0.1:$to_b in "*blackout* ]]
		fails "there is no guest named 'bird' here: it moved to 127.0.0.1:$to_b at 20" on A status bird
		fails "guest bird moved to 127.0.0.1:$to_b on 20" \
			on A run --name bird --kernel guest.elf --memory 256M
		lives B bird
		run on B migrate bird --to "127.0.0.1:$to_a"
		[ "$status" -eq 0 ]
		fails "no guest named" on B status bird
		lives A bird
		[ "$(field A bird uptime_ns)" -gt "$age" ] # it is no younger for having moved
		[ "$(field A bird here_ns)" -lt "$(field A bird uptime_ns)" ]
		age=$(field A bird uptime_ns)
	done
	wait "$RUN"
	grep -q "^guest bird moved to 127.0.0.1:$to_b, blackout " bird.log
}

@test "--json is one object with every figure" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	on A migrate bird --to "127.0.0.1:$PORT" --transport tcp --json >result
	[ "$(wc -l <result)" -eq 1 ]
	perl -MJSON::PP -0777 -ne '
		my $r = decode_json($_);
		for (qw(total_ns rounds sent_bytes wire_bytes pages_sent goodput)) {
			die "$_\n" unless $r->{$_} > 0;
		}
		for (qw(total stop harvest residual save send load start)) {
			die "blackout $_\n" unless $r->{blackout}{"${_}_ns"} >= 0;
		}
		die "committed\n" unless $r->{committed};
		die "name\n" unless $r->{name} eq "bird" && $r->{transport} eq "tcp";
		die "note\n" unless $r->{transport_note} =~ /^tcp/;
		die "memory that was never touched was sent\n" if $r->{sent_bytes} > 200 << 20;
	' result
	lives B bird
}

@test "two vCPUs, four streams, IPv6" {
	start A bird --cpus 2 --memory 256M --append "$WORK cpus=2"
	WATARI_RUNTIME_DIR=$PWD/B "$W" receive --listen '[::1]:0' >B.log 2>&1 3>&- &
	until_ok 10 grep -q '^listening on \[::1\]:' B.log
	run on A migrate bird --to "$(sed -n 's/^listening on //p' B.log)" --streams 4
	echo "$output"
	[ "$status" -eq 0 ]
	lives B bird
}

@test "a paused guest arrives paused" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	on A pause bird
	before=$(report A bird heartbeat)
	on A migrate bird --to "127.0.0.1:$PORT"
	[ "$(field B bird state)" = paused ]
	[ "$(report B bird heartbeat)" = "$before" ]
	on B resume bird
	lives B bird
}

@test "an arrived guest outlives its receiver, and its console is not the receiver's" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	on A migrate bird --to "127.0.0.1:$PORT"
	kill "$RECEIVER"
	wait "$RECEIVER"
	lives B bird
	[ "$(field B bird serial)" = none ]
	[ "$(readlink "/proc/$(field B bird pid)/fd/0")" = /dev/null ]
	on B kill bird
	empty B
}

@test "receive --once ends with the arrival, or with the failure of one" {
	start A bird --memory 256M --append "$WORK"
	receiver B --once
	on A migrate bird --to "127.0.0.1:$PORT"
	wait "$RECEIVER"
	lives B bird
	receiver C --once
	printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/127.0.0.1/$PORT"
	run wait "$RECEIVER"
	! wait "$RECEIVER"
}

@test "a name that is taken over there is refused, both guests untouched" {
	start A bird --memory 256M --append "$WORK"
	start B bird --memory 256M --append "$WORK"
	receiver B
	fails "lives here already" on A migrate bird --to "127.0.0.1:$PORT"
	lives A bird
	lives B bird
}

copying() {
	[ "$(field "$1" "$2" migration.phase)" = copy ]
}

@test "one move at a time; Ctrl-C gives it up; the guest goes on" {
	start A bird --memory 1500M --append "workset=4M rate=50000"
	receiver B
	WATARI_RUNTIME_DIR=$PWD/A "$W" migrate bird --to "127.0.0.1:$PORT" >move.log 2>&1 3>&- &
	move=$!
	until_ok 10 copying A bird
	fails "on a move already" on A migrate bird --to "127.0.0.1:$PORT"
	kill -INT "$move"
	! wait "$move"
	cat move.log
	grep -q "given up" move.log
	lives A bird
	until_ok 10 empty B
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
}

@test "a client that goes away gives the move up" {
	start A bird --memory 1500M --append "workset=4M rate=50000"
	receiver B
	WATARI_RUNTIME_DIR=$PWD/A "$W" migrate bird --to "127.0.0.1:$PORT" >move.log 2>&1 3>&- &
	move=$!
	until_ok 10 copying A bird
	kill -9 "$move"
	until_ok 10 lives A bird
	until_ok 10 empty B
}

@test "a guest that writes faster than it can be sent is slowed down, arrives whole and runs at full speed" {
	start A bird --cpus 2 --memory 256M --append "workset=32M rate=0 cpus=2"
	receiver B
	# At 100 MB/s a round of the working set takes a third of a second, in which all of it is written
	# again; and to send it at once, when the guest is frozen, takes longer than the limit.
	run on A migrate bird --to "127.0.0.1:$PORT" --bandwidth 100M --downtime-limit 5ms --verbose
	echo "$output"
	cat B.log
	[ "$status" -eq 0 ]
	[[ $output == *"slowed down to "*"cost each "* ]]
	lives B bird
}

@test "--bandwidth holds, --on-stall freeze and abort do what they say" {
	start A bird --memory 256M --append "workset=8M rate=0 fill=32M"
	receiver B
	run on A migrate bird --to "127.0.0.1:$PORT" --bandwidth 50M --downtime-limit 1ms \
		--on-stall abort
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"does not converge"* || $output == *"cannot be met"* ]]
	lives A bird
	on A migrate bird --to "127.0.0.1:$PORT" --bandwidth 50M --downtime-limit 1ms --on-stall freeze \
		--json >result
	perl -MJSON::PP -0777 -ne '
		my $r = decode_json($_);
		my $bytes = $r->{sent_bytes} - $r->{residual_bytes};
		die "$bytes bytes in $r->{total_ns} ns\n"
			if $bytes > (50 << 20) * $r->{total_ns} / 1e9 * 1.05 + (1 << 20);
		die "slowed down\n" if $r->{share_least} != 1000;
		die "frozen within the limit\n" if $r->{predicted_blackout_ns} <= 1e6;
	' result
	lives B bird
}

@test "a guest that left is started where it was only by force, and that is written down" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	on A migrate bird --to "127.0.0.1:$PORT"
	fails "moved to 127.0.0.1:$PORT" on A run --name bird --kernel guest.elf --serial none --memory 256M
	on B kill bird
	start A bird --memory 256M --append "$WORK" --force
	on A history bird | tail -n 1 | grep forced
	on A kill bird
	start A bird --memory 256M --append "$WORK"
	lives A bird
}
