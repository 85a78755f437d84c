#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The smaller benches: transports alone, the trackers, and a measurement between two ends that know
# of each other only by a socket.

load helper

json() {
	perl -MJSON::PP -0777 -e '
		my $r = decode_json(<STDIN>);
		my $v = eval shift;
		die $@ if $@;
		print "$v\n";
	' "$1"
}

@test "every transport has its figures by put size and streams, beside iperf3" {
	"$W" bench transport --bytes 256M --put 4K,256K --streams 1,2 --json - >r.json 2>err
	cat err
	[ "$(json 'join ",", map { "$_->{streams}/$_->{put_bytes}" }
		grep { $_->{transport} eq "tcp" } @{$r->{rows}}' <r.json)" = \
		1/4096,1/262144,2/4096,2/262144 ]
	[ "$(json 'scalar grep { $_->{transport} eq "tcp" && !($_->{goodput_bytes_per_s} > 0
		&& $_->{cpu_near_ms_per_gib} > 0 && $_->{cpu_far_ms_per_gib} > 0
		&& $_->{fenced_message_us}{n} == 1000 && $_->{wire_bytes} > 256 << 20) } @{$r->{rows}}' <r.json)" = 0 ]
	[ "$(json 'scalar grep { $_->{transport} eq "iperf3" } @{$r->{rows}}' <r.json)" = 2 ]
}

@test "the far end of the transports may be another process, found by its address" {
	"$W" bench transport --serve 127.0.0.1:0 >serve 2>&1 3>&- && false
	grep -q "no port" serve
	# Below the ports that connections get of their own accord.
	port=$((20000 + RANDOM % 10000))
	"$W" bench transport --serve "127.0.0.1:$port" >serve 2>&1 3>&- &
	server=$!
	until_ok 10 grep -q "^serving on" serve || { cat serve; false; }
	run "$W" bench transport --to "127.0.0.1:$port" --bytes 256M --put 64K --streams 1 --transport tcp
	echo "$output"
	kill "$server"
	[ "$status" -eq 0 ]
	[[ $output == *"64.0 KiB"* ]]
}

@test "a transport that is not there is named" {
	fails "there is no transport 'pigeon'" on A bench transport --transport pigeon
	fails "--put '5000'" on A bench transport --put 5000
}

@test "both trackers tell what they cost" {
	"$W" bench tracker --memory 128M --workset 4M --harvests 9 --json - >r.json 2>err
	cat err
	[ "$(json 'join ",", map { $_->{tracker} } @{$r->{rows}}' <r.json)" = ring,log ]
	[ "$(json 'scalar grep { !($_->{start_us} > 0 && $_->{clean_harvest_us} > 0
		&& $_->{harvest_pages_median} > 0 && $_->{rate_off} > 0) } @{$r->{rows}}' <r.json)" = 0 ]
}

@test "between two ends: what two observers saw, with what is not certain of it" {
	XDG_RUNTIME_DIR=$PWD "$W" bench target --listen 127.0.0.1:27311 >far 2>&1 3>&- &
	far=$!
	until_ok 20 grep -q "^serving on" far
	XDG_RUNTIME_DIR=$PWD "$W" bench downtime --target 127.0.0.1:27311 --memory 128M --workset 2M \
		--runs 3 --warm-up 0 --json r.json >out 2>&1
	cat out far
	kill -INT "$far"
	wait "$far"
	grep -q "clocks +- " out
	[ "$(json 'scalar @{$r->{runs}}' <r.json)" = 3 ]
	# of one host the clocks agree, so the two figures must, but for what the report says is open
	[ "$(json 'scalar grep {
		abs($_->{freeze_guest_us} - $_->{away_observers_us}) >
		500 + $_->{away_observers_error_us} + $_->{freeze_guest_us} / 10 } @{$r->{runs}}' <r.json)" -le 1 ]
	[ -z "$(ls -d watari-bench.* 2>/dev/null)" ]
}

@test "the demo begins with what a guest could travel by here, and why not by the rest" {
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR "$W" bench demo >demo.log 2>&1 3>&- &
	demo=$!
	until_ok 60 grep -q "move 1/5" demo.log
	kill -INT "$demo"
	wait "$demo" || true
	"$W" probe 127.0.0.1 >probe.log || true
	[ "$(grep -cE '^(rdma|tcp|uring) ' probe.log)" -eq 3 ]
	grep -E '^(rdma|tcp|uring) ' probe.log | while IFS= read -r line; do
		grep -qxF "  $line" demo.log || { cat demo.log; echo "not said: $line"; return 1; }
	done
}
