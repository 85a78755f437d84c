#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Moves that are given up, by hand or by a limit: the guest goes on where it is, and was not stopped
# for it. And what remains of moves in the history.

load helper

WORK="workset=4M rate=50000 fill=64M"

# move_slowly ARGS...: bird leaves A for B, at 20 MB/s, in the background. MOVE is the client.
move_slowly() {
	WATARI_RUNTIME_DIR=$PWD/A "$W" migrate bird --to "127.0.0.1:$PORT" --bandwidth 20M "$@" \
		>move.log 2>&1 3>&- &
	MOVE=$!
}

phase_is() {
	[ "$(field A bird migration.phase)" = "$1" ]
}

# within MS COMMAND...: it succeeds in that time; its output is in $output.
within() {
	local most=$1 begin=$EPOCHREALTIME
	shift
	run "$@"
	local took=$(((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}) / 1000))
	echo "status $status after $took ms: $output"
	[ "$status" -eq 0 ] && [ "$took" -lt "$most" ]
}

cancel_slow_move() {
	move_slowly
	until_ok 10 phase_is copy
	on A cancel bird
	! wait "$MOVE"
}

@test "a cancel in the copy phase: answered within a second, and both clients say why" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	# On a crowded machine the move may take longer to end than the answer may take: then once more.
	for try in 1 2 3 4 5; do
		move_slowly
		until_ok 10 phase_is copy
		within 1000 on A cancel bird --json
		! wait "$MOVE"
		cat move.log
		grep -q "guest bird did not move: the move was cancelled in its copy phase: in round 1, " move.log
		ended=$(perl -MJSON::PP -e '
			my $r = decode_json($ARGV[0]);
			die "phase\n" unless $r->{phase} eq "copy" && $r->{name} eq "bird";
			print $r->{ended} && $r->{reason} =~ /cancelled in its copy phase: in round/ ? "ended" : "later"' "$output")
		[ "$ended" != ended ] || break
	done
	[ "$ended" = ended ]
	lives A bird
	until_ok 10 empty B
	# and nothing is in the way of the next one
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	fails "it is too late: guest 'bird' moved to 127.0.0.1:$PORT at " on A cancel bird
}

@test "a cancel in the init phase is answered within a second although the target hangs" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	kill -STOP "$RECEIVER"
	move_slowly
	until_ok 10 phase_is init
	within 1000 on A cancel bird
	kill -CONT "$RECEIVER"
	! wait "$MOVE"
	cat move.log
	grep -q "the move was cancelled in its init phase: nothing was sent yet" move.log
	lives A bird
}

@test "a cancel without a move, and at the wrong end" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	fails "guest 'bird' is not on a move" on A cancel bird
	move_slowly
	until_ok 10 phase_is copy
	fails "cancel its move where it comes from, 127.0.0.1" on B cancel bird
	fails "still arriving here" on B migrate bird --to "127.0.0.1:$PORT"
	fails "on a move already, to 127.0.0.1:$PORT; 'watari cancel bird'" on A migrate bird \
		--to "127.0.0.1:$PORT"
	on A cancel bird
	! wait "$MOVE"
	lives A bird
}

# a move whose CPUs take half a second to stop, and may take a fifth: the guest's answer
slow_freeze() {
	perl -e '
		use IO::Socket::UNIX;
		chdir $ARGV[0] or die;
		alarm 20;
		my $s = IO::Socket::UNIX->new(Peer => "bird.sock") or die "no guest\n";
		syswrite($s, qq({"op":"migrate","to":"$ARGV[1]","test_stall_ns":500000000,) .
			qq("quiesce_timeout_ns":200000000}\n));
		while (<$s>) {
			print, exit if /"ok":/;
		}
	' "$PWD/A" "127.0.0.1:$PORT"
}

@test "each limit that is exceeded gives the move up and says how far it got" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	fails "the copy phase took " on A migrate bird --to "127.0.0.1:$PORT" --bandwidth 20M \
		--copy-timeout 500ms
	[[ $stderr == *"longer than its limit of 500.00 ms: in round 1, "*" sent, "*" left"* ]]
	[[ $stderr == *"Raise --copy-timeout, or use a faster link"* ]]
	lives A bird
	# CPUs that take half a second to stop
	run slow_freeze
	echo "$output"
	[[ $output == *"the quiesce phase took "*"its limit of 200.00 ms: in round "* ]]
	lives A bird
	# a guest that would be frozen for longer is not frozen
	fails "the guest was not frozen, because " on A migrate bird --to "127.0.0.1:$PORT" \
		--downtime-limit 1us --frozen-timeout 1us --on-stall freeze
	[[ $stderr == *"--frozen-timeout"* ]]
	lives A bird
	kill -STOP "$RECEIVER"
	fails "the init phase took longer than its limit of 500.00 ms" on A migrate bird \
		--to "127.0.0.1:$PORT" --init-timeout 500ms
	kill -CONT "$RECEIVER"
	lives A bird
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
}

@test "two guests of one name that move to one host at once: one arrives, one stays" {
	local a c at_b=0
	start A bird --memory 256M --append "$WORK"
	start C bird --memory 256M --append "$WORK"
	receiver B
	WATARI_RUNTIME_DIR=$PWD/A "$W" migrate bird --to "127.0.0.1:$PORT" >a.log 2>&1 3>&- &
	a=$!
	WATARI_RUNTIME_DIR=$PWD/C "$W" migrate bird --to "127.0.0.1:$PORT" >c.log 2>&1 3>&- &
	c=$!
	if wait "$a"; then at_b=1; else grep "lives here already" a.log; lives A bird; fi
	if wait "$c"; then at_b=$((at_b + 1)); else grep "lives here already" c.log; lives C bird; fi
	[ "$at_b" -eq 1 ]
	lives B bird
}

@test "the history has a line for each move at each end, with all figures" {
	start A bird --memory 256M --append "$WORK"
	receiver B
	cancel_slow_move
	on A migrate bird --to "127.0.0.1:$PORT" --json >result
	run on A history bird
	echo "$output"
	[ "$(grep -c ' out .* cancelled ' <<<"$output")" -eq 1 ]
	[ "$(grep -c ' out .* moved ' <<<"$output")" -eq 1 ]
	until_ok 5 arrived_twice
	{ on A history --json; on B history --json; } >lines
	perl -MJSON::PP -e '
		open(my $f, "<", "result"); my $r = decode_json(<$f>);
		open($f, "<", "lines");
		my @all = map { decode_json($_) } <$f>;
		my ($out) = grep { $_->{direction} eq "out" && $_->{result} eq "moved" } @all;
		my ($in) = grep { $_->{direction} eq "in" && $_->{result} eq "moved" } @all;
		die "out\n" unless $out->{to} eq $r->{to} && $out->{guest} eq "bird";
		for (qw(total_ns rounds sent_bytes wire_bytes goodput transport committed)) {
			die "$_\n" unless $out->{$_} eq $r->{$_};
		}
		die "blackout\n" unless $out->{blackout}{total_ns} == $r->{blackout}{total_ns};
		die "in\n" unless $in->{from} eq "127.0.0.1" && $in->{total_ns} > 0;
		die "time\n" if grep { $_->{time} !~ /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/ } @all;
	'
}

# both moves of the test above have ended at B
arrived_twice() {
	[ "$(on B history --json bird | grep -c '"direction":"in"')" -eq 2 ]
}

@test "a state directory that cannot be written is a warning, and the guest moves" {
	: >nowhere
	STATE=$PWD/nowhere
	start A bird --memory 256M --append "$WORK"
	receiver B
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	wait "$RUN"
	cat bird.log
	grep -q "is not in the history: cannot open the state directory" bird.log
}
