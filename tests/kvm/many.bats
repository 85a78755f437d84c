#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Several moves at once: they stand in line, share the link, and whatever happens to one of them, the
# others arrive.

load helper

SMALL="workset=1M rate=5000 fill=8M"
LARGE="workset=1M rate=5000 fill=32M"

# Ten guests on few processors: this is not about how long one of them stands still.
PATIENT=(--downtime-limit 5s --frozen-timeout 20s --init-timeout 60s)

# leave HOST NAME PORT ARGS...: migrate in the background; MOVE is its process, NAME.move its output.
leave() {
	local host=$1 name=$2 port=$3
	shift 3
	WATARI_STATE_DIR=$(state_of "$host") WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$host \
		"$W" migrate "$name" --to "127.0.0.1:$port" "${PATIENT[@]}" "$@" >"$name.move" 2>&1 3>&- &
	MOVE=$!
}

phase_is() {
	[ "$(field "$1" "$2" migration.phase)" = "$3" ]
}

# The number of files that the places of moves are.
places() {
	find "$1" -name ".$2.[0-9]*" | wc -l
}

@test "ten guests leave at once, two hosts for two, some come back; all are whole" {
	receiver A --max-moves 10; to_a=$PORT
	receiver B --max-moves 10; to_b=$PORT
	for i in 0 1 2 3 4; do
		start A "out$i" --memory 64M --append "$SMALL"
		start B "in$i" --memory 64M --append "$SMALL"
	done
	moves=()
	for i in 0 1 2 3 4; do
		leave A "out$i" "$to_b" --max-moves 10; moves+=("$MOVE")
		leave B "in$i" "$to_a" --max-moves 10; moves+=("$MOVE")
	done
	for move in "${moves[@]}"; do
		wait "$move" || { cat ./*.move; false; }
	done
	moves=()
	for i in 0 1 2; do # and back, by the default: two at a time, the third in line
		leave B "out$i" "$to_a"; moves+=("$MOVE")
	done
	for move in "${moves[@]}"; do
		wait "$move" || { cat ./*.move; false; }
	done
	for i in 0 1 2; do lives A "out$i"; done
	for i in 3 4; do lives B "out$i"; done
	for i in 0 1 2 3 4; do lives A "in$i"; done
	[ "$(on A list --json | grep -o '"state":"running"' | wc -l)" -eq 8 ]
	[ "$(on B list --json | grep -o '"state":"running"' | wc -l)" -eq 2 ]
	[ "$(places A '*')$(places B '*')" = 00 ]
	[ ! -e A/.frozen ] && [ ! -e B/.frozen ]
}

@test "kill -9 of one of ten arrivals: nine arrive, that one lives where it was" {
	receiver B --max-moves 10
	for i in {0..9}; do
		start A "bird$i" --memory 128M --append "$LARGE"
	done
	moves=()
	for i in {0..9}; do
		leave A "bird$i" "$PORT" --max-moves 10 --bandwidth "$((i == 4 ? 1 : 10))M"
		moves+=("$MOVE")
	done
	until_ok 60 phase_is A bird4 copy
	kill -9 "$(field B bird4 pid)"
	kill -0 "${moves[4]}"
	for i in {0..9}; do
		if [ "$i" -eq 4 ]; then
			! wait "${moves[i]}"
			grep -q "^watari: guest bird4 did not move: " bird4.move
		else
			wait "${moves[i]}" || { cat "bird$i.move"; false; }
		fi
	done
	for i in {0..9}; do
		if [ "$i" -eq 4 ]; then lives A bird4; else lives B "bird$i"; fi
	done
	[ "$(on A list --json | grep -o '"name":' | wc -l)" -eq 1 ]
	[ "$(on B list --json | grep -o '"name":' | wc -l)" -eq 9 ]
	on A migrate bird4 --to "127.0.0.1:$PORT" "${PATIENT[@]}" # its place over there is free again
	lives B bird4
}

@test "one move waits for another: it says for which, goes when that is over, and can be given up" {
	receiver B
	for name in bird fish cat dog; do
		start A "$name" --memory 128M --append "$LARGE"
	done
	leave A bird "$PORT" --max-moves 1 --bandwidth 1M; bird=$MOVE
	until_ok 30 phase_is A bird copy
	fails "guest 'fish' cannot leave now: it would have to wait for 1 move of this host, as many as may go at once: guest bird to 127.0.0.1:$PORT" \
		on A migrate fish --to "127.0.0.1:$PORT" --max-moves 1 --no-wait
	leave A fish "$PORT" --max-moves 1; fish=$MOVE
	until_ok 30 phase_is A fish waiting
	leave A cat "$PORT" --max-moves 1; cat=$MOVE
	until_ok 30 phase_is A cat waiting
	leave A dog "$PORT" --max-moves 1; dog=$MOVE
	until_ok 30 phase_is A dog waiting
	fails "on a move already" on A migrate fish --to "127.0.0.1:$PORT"
	[[ $(on A status fish) == *"waits for "*"guest bird to 127.0.0.1:$PORT"* ]]
	[[ $(field A cat migration.waits_for) == *"; 1 before it in line" ]]
	beats=$(report A fish heartbeat) # one that waits notices nothing
	until_ok 10 beyond A fish heartbeat "$beats"
	begin=${EPOCHREALTIME/[.,]/}
	on A cancel cat
	kill -INT "$dog"
	! wait "$cat"
	! wait "$dog"
	took=$(((${EPOCHREALTIME/[.,]/} - begin) / 1000))
	echo "given up after $took ms"
	[ "$took" -lt 5000 ] # two commands and two ends; either took half a second at most
	kill -0 "$bird" # it was not waited for
	grep -q "cancelled while it waited for its turn" cat.move
	grep -q "was given up: " dog.move
	lives A cat
	lives A dog
	on A cancel bird
	! wait "$bird"
	wait "$fish"
	grep -q "^waiting for 1 move of this host" fish.move
	lives A bird
	lives B fish
	until_ok 5 test "$(places A '*')" -eq 0
}

@test "a host that takes no more is waited for, or not" {
	receiver B --max-moves 1
	start A bird --memory 128M --append "$LARGE"
	start C fish --memory 64M --append "$SMALL"
	leave A bird "$PORT" --bandwidth 1M; bird=$MOVE
	until_ok 30 phase_is A bird copy
	fails "the target is busy: 1 move of this host, as many as may go at once: guest bird from 127.0.0.1" \
		on C migrate fish --to "127.0.0.1:$PORT" --no-wait
	leave C fish "$PORT"; fish=$MOVE
	until_ok 30 phase_is C fish waiting
	on A cancel bird
	wait "$fish"
	grep -q "^waiting for the target" fish.move
	lives A bird
	lives B fish
}

@test "two guests of one name on their way to one host: one arrives, the other is refused and lives" {
	receiver B
	start A bird --memory 128M --append "$LARGE"
	start C bird --memory 64M --append "$SMALL"
	leave A bird "$PORT" --bandwidth 10M; bird=$MOVE
	until_ok 30 phase_is A bird copy
	fails "a guest named 'bird' lives here already" on C migrate bird --to "127.0.0.1:$PORT"
	wait "$bird"
	lives B bird
	lives C bird
}

# figure NAME KEY: of the result in NAME.move.
figure() {
	perl -MJSON::PP -0777 -ne 'print decode_json($_)->{"'"$2"'"}' "$1.move"
}

@test "two equal moves at once, each within its bandwidth, get alike" {
	receiver B
	start A bird --memory 128M --append "$LARGE"
	start A fish --memory 128M --append "$LARGE"
	for try in 1 2 3; do # on a machine that others use too
		leave A bird "$PORT" --bandwidth 16M --json; bird=$MOVE
		leave A fish "$PORT" --bandwidth 16M --json; fish=$MOVE
		wait "$bird"
		wait "$fish"
		one=$(figure bird goodput) two=$(figure fish goodput)
		echo "goodput: $one $two"
		for name in bird fish; do # more than was allowed is never right
			[ "$(figure $name goodput)" -le $((17 << 20)) ]
			lives B $name
		done
		[ $((one * 100)) -lt $((two * 80)) ] || [ $((two * 100)) -lt $((one * 80)) ] || return 0
		receiver A; back=$PORT
		on B migrate bird --to "127.0.0.1:$back"
		on B migrate fish --to "127.0.0.1:$back"
		kill "$RECEIVER"
		receiver B
	done
	false
}

# rss PID: kB
rss() {
	sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"
}

@test "a thousand peers that keep still or rave cost the receiver nothing, and no guest" {
	start A bird --memory 64M --append "$SMALL"
	receiver B
	start B fish --memory 64M --append "$SMALL"
	before=$(rss "$RECEIVER")
	perl -MIO::Socket::INET -e '
		my @keep;
		for my $i (1 .. 1000) {
			my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0], Timeout => 2)
				or next;
			syswrite($c, pack("N*", map { rand 2**32 } 1 .. 64)) if $i % 2;
			push @keep, $c if $i % 2 == 0;
			shift @keep if @keep > 500;
		}
		print scalar @keep, "\n";
		open(my $f, ">", "ready");
		close $f;
		sleep 60' "$PORT" >attack.log 3>&- &
	attack=$!
	most=0
	until [ -e ready ]; do
		now=$(incoming "$RECEIVER" | wc -l)
		[ "$now" -le "$most" ] || most=$now
	done
	echo "at most $most processes; receiver: $before kB before, $(rss "$RECEIVER") kB after"
	[ "$most" -le 24 ] # the 16 that listen, and some that are just ending
	[ "$(rss "$RECEIVER")" -le $((before + 2048)) ]
	kill "$attack"
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	lives B fish
}
