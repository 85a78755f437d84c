#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest's console: attach, type, detach, attach again, also after a move, and on a terminal.

load helper

@test "attach shows what was, keys reach the guest, a second viewer sees the same" {
	teller
	tell A bird
	view A bird one
	until_ok 10 grep -q up one
	[ "$(stat -c %a A/bird.console)" = 600 ]
	type_keys hello
	until_ok 10 grep -q hello one
	WATARI_RUNTIME_DIR=$PWD/A timeout 2 "$W" console bird </dev/null >two 2>/dev/null || true
	diff <(printf 'up\nhello') two
	exec 8>&-
	kill "$VIEW"
	wait "$VIEW" || true
	view A bird three
	until_ok 10 grep -q hello three
	type_keys again
	until_ok 10 grep -q helloagain three
	exec 8>&-
	[ "$(field A bird state)" = running ]
}

@test "the console's last lines move with the guest, and not a letter is missing" {
	teller
	tell A bird
	receiver B
	view A bird before
	type_keys '*'
	until_ok 20 grep -q abcdefghijklmnopqrstuvwxyza before
	on A migrate bird --to "127.0.0.1:$PORT"
	exec 8>&-
	wait "$VIEW"
	grep -q "does not live here any more" before.err
	[ "$(field B bird serial)" = socket ]
	WATARI_RUNTIME_DIR=$PWD/B timeout 3 "$W" console bird </dev/null >after 2>/dev/null || true
	# all that was seen before is in what is kept, which goes on without a gap
	perl -0777 -e '
		my ($before, $after) = map { open my $f, "<", $_ or die; <$f> } @ARGV;
		index($after, $before) == 0 or die "what was seen is not kept\n";
		my ($letters) = $after =~ /\Aup\n([a-z]+)\z/ or die "odd: $after\n";
		length $after > length $before or die "it went silent\n";
		for my $i (0 .. length($letters) - 1) {
			substr($letters, $i, 1) eq chr(97 + $i % 26) or die "a gap at $i\n";
		}' before after
}

@test "a viewer that does not read does not hold up the guest" {
	teller
	tell A bird
	view A bird one
	type_keys '*'
	until_ok 10 grep -q abc one
	kill -STOP "$VIEW"
	WATARI_RUNTIME_DIR=$PWD/A timeout 2 "$W" console bird </dev/null >two 2>/dev/null || true
	[ "$(wc -c <two)" -gt "$(wc -c <one)" ]
	kill -CONT "$VIEW"
	exec 8>&-
	kill "$VIEW"
}

@test "no console with --serial none, and none of a guest that is not there" {
	start A bird --memory 256M
	fails "there is no console of a guest named 'bird'" on A console bird
	fails "there is no console of a guest named 'heron'" on A console heron
}

@test "on a terminal Ctrl-A d detaches and gives the terminal back" {
	command -v script >/dev/null || skip "script(1) is not installed"
	teller
	tell A bird
	mkfifo typed
	cat >session <<-EOF
		stty -g >before
		WATARI_RUNTIME_DIR=$PWD/A $W console bird
		echo "status \$?" >end
		stty -g >after
	EOF
	script -qec "bash session" /dev/null <typed >screen 2>&1 3>&- &
	exec 9>typed
	until_ok 10 grep -q up screen
	printf 'hi\001h' >&9
	until_ok 10 grep -q 'detach; the guest goes on' screen
	! grep -q 'end the guest' screen
	printf '\001d' >&9
	until_ok 10 grep -q status end
	until_ok 10 test -s after
	exec 9>&-
	[ "$(cat end)" = "status 0" ]
	[ "$(cat before)" = "$(cat after)" ]
	[ "$(field A bird state)" = running ]
}

@test "what is typed at a guest that does not take it waits, and a terminal still detaches" {
	command -v script >/dev/null || skip "script(1) is not installed"
	teller
	tell A bird
	until_ok 10 test -S A/bird.console
	kill -STOP "$RUN"
	# more than a socket holds, from a file's beginning and from a pipe
	perl -e 'print "f" x 20000' >file
	WATARI_RUNTIME_DIR=$PWD/A "$W" console bird <file >/dev/null 2>&1 3>&- &
	file=$!
	perl -e 'print "z" x 40000' | WATARI_RUNTIME_DIR=$PWD/A "$W" console bird >piped 2>&1 3>&- &
	mkfifo typed
	echo "WATARI_RUNTIME_DIR=$PWD/A $W console bird; echo \"status \$?\" >end" >session
	script -qec "bash session" /dev/null <typed >screen 2>&1 3>&- &
	exec 9>typed
	until_ok 10 grep -q "attached to guest bird" screen
	perl -e '$| = 1; print "t" x 500 and select undef, undef, undef, 0.002 for 1 .. 200' >&9
	until_ok 10 grep -q $'\a' screen
	printf '\001d' >&9
	until_ok 10 grep -q status end
	exec 9>&-
	[ "$(cat end)" = "status 0" ]
	kill -CONT "$RUN"
	# and then all of it arrives, but what the terminal's bell told of
	until_ok 60 received z 40000
	until_ok 10 received f 20000
	kill "$file"
}

# received KEY COUNT: the guest has written that key back so often, as a viewer that listened from the start saw.
received() {
	[ "$(tr -dc "$1" <piped | wc -c)" -eq "$2" ]
}
