#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The checks before a move, with real guests on two "hosts" of one machine: alone they move nothing
# and leave nothing, and before a move they keep a guest from where it could not live.

load helper

WORK="workset=4M rate=50000 fill=32M"

pair() {
	truncate -s 16M disk.img
	start A bird --memory 256M --disk "root,path=$PWD/disk.img" --append "$WORK"
	receiver B
}

# checked STATUS ARGS...: watari check ends so; its table is in $output
checked() {
	local want=$1
	shift
	run on A check bird --to "127.0.0.1:$PORT" "$@"
	echo "status $status"
	echo "$output"
	[ "$status" -eq "$want" ]
}

# says RESULT CHECK TEXT: a line of the table
says() {
	grep -qE "^$1 +$2 +.*$3" <<<"$output"
}

# QUIET: what depends on the machine that runs the test, not on watari
QUIET=time-sync,duration,tsc

@test "a guest that can move: every check passes, the guest is where it was, and nothing is left" {
	pair
	checked 0 --skip "$QUIET"
	says pass reach "it answers within"
	says pass versions "protocol [0-9]+ at both ends"
	says pass cpu "every feature that the guest was given"
	says pass disks "disk 'root': the same file, proven by a number written beside it"
	says pass disk-locks "disk 'root': a lock held here was refused there"
	says pass way-back "the target reached port"
	says pass clock "the target's clock is .* give or take"
	says skipped time-sync "not looked at, as was asked"
	lives A bird
	[ ! -e disk.img.check ]
	until_ok 5 empty B
	[ ! -s B.state/history.jsonl ]
	# all of it as one object, and with what is measured: a rate of writing and one of the link
	run on A check bird --to "127.0.0.1:$PORT" --json
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ]
	perl -MJSON::PP -e '
		my $r = decode_json($ARGV[0]);
		my %c = map { $_->{name} => $_ } @{$r->{checks}};
		die "names\n" unless $r->{name} eq "bird" && $r->{to} =~ /^127/ && %c >= 20;
		for (values %c) { die "$_->{name}\n" unless $_->{what} && $_->{why} && $_->{mend} && $_->{said} }
		die "duration: $c{duration}{said}\n" unless $c{duration}{said} =~ m{writes .*/s.* connection carries .*/s};
	' "$output"
	# tracking is off again, so that the guest can be tracked by its move
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
}

@test "what keeps a guest from moving is named with its remedy, by check and by migrate alike" {
	pair
	mv disk.img aside.img
	checked 4 --skip "$QUIET"
	says fail disks "disk 'root': cannot open $PWD/disk.img there: No such file or directory"
	cp aside.img disk.img # of the same name, size and bytes, and not the guest's
	checked 4 --skip "$QUIET"
	says fail disks "disk 'root': $PWD/disk.img here is not the image that the guest uses"
	mv aside.img disk.img
	start B bird --memory 64M --append "workset=1M rate=1000 fill=1M"
	checked 4 --skip "$QUIET"
	says fail name "a guest named 'bird' lives here already"
	grep -q "to mend it: stop or move the guest there that has the name" <<<"$output"
	run on A migrate bird --to "127.0.0.1:$PORT"
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"a check before the move failed: name: a guest named 'bird' lives here already"* ]]
	[[ $output == *"to mend it: stop or move the guest"* ]]
	lives A bird
	lives B bird
	[ ! -e disk.img.check ]
}

@test "a target that does not answer, and one of another version" {
	start A bird --memory 128M --append "$WORK"
	PORT=1
	checked 4
	says fail reach "the target 127.0.0.1:1 cannot be reached: .*Connection refused"
	says warn cpu "not known: the target did not say"
	lives A bird
}

@test "a check is skipped only where that is safe, and the history of the move says so" {
	pair
	fails "check disks cannot be skipped: a guest that goes on with another disk destroys it" \
		on A check bird --to "127.0.0.1:$PORT" --skip disks
	fails "there is no check 'weather'" on A migrate bird --to "127.0.0.1:$PORT" --skip weather
	run "$TOOLS/ctl" "$PWD/A" bird '{"op":"migrate","to":"127.0.0.1:1","skip":["disks"]}'
	[[ $output == *"check disks cannot be skipped"* ]]
	on A migrate bird --to "127.0.0.1:$PORT" --skip time-sync --skip mtu >move.log
	cat move.log
	grep -qE "^skipped +time-sync" move.log
	lives B bird
	on A history --json | grep -q '"skipped":"mtu,time-sync"'
	on A history | grep -q "without the checks mtu,time-sync"
}

@test "a receiver that waits for one guest may be asked before" {
	start A bird --memory 128M --append "$WORK"
	receiver B --once
	for _ in 1 2; do
		run on A check bird --to "127.0.0.1:$PORT" --skip "$QUIET"
		echo "$output"
		[ "$status" -eq 0 ]
		until_ok 5 kill -0 "$RECEIVER"
	done
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	wait "$RECEIVER"
}
