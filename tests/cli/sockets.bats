#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Sockets without a guest behind them: dead ones are told from mute ones. Needs no KVM.

load helper

teardown() {
	[ -z "${PEER:-}" ] || kill "$PEER" 2>/dev/null || true
}

# stale NAME: the files a killed guest leaves.
stale() {
	mkdir -p "$WATARI_RUNTIME_DIR"
	perl -MIO::Socket::UNIX -e 'chdir shift; IO::Socket::UNIX->new(Local => shift, Listen => 1) or die $!' \
		"$WATARI_RUNTIME_DIR" "$1.sock"
	: >"$WATARI_RUNTIME_DIR/$1.lock"
}

# speaker NAME TEXT: somebody who accepts, says TEXT, and listens on.
speaker() {
	mkdir -p "$WATARI_RUNTIME_DIR"
	mkfifo ready
	perl -MIO::Socket::UNIX -e '
		chdir shift;
		my $l = IO::Socket::UNIX->new(Local => shift, Listen => 9) or die $!;
		my $text = shift;
		open(my $r, ">", shift); close $r;
		my @keep;
		$SIG{PIPE} = "IGNORE";
		while (my $c = $l->accept) { syswrite($c, $text); push @keep, $c }' \
		"$WATARI_RUNTIME_DIR" "$1.sock" "$2" "$PWD/ready" 3>&- &
	PEER=$!
	read -r _ <ready || true
}

@test "list without a runtime directory is empty" {
	run "$W" list
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$("$W" list --json)" = "[]" ]
	[ ! -e "$WATARI_RUNTIME_DIR" ]
}

@test "list removes stale sockets and shows none of them" {
	stale one
	stale two
	[ -S "$WATARI_RUNTIME_DIR/one.sock" ]
	[ "$("$W" list --json)" = "[]" ]
	[ -z "$(ls -A "$WATARI_RUNTIME_DIR")" ]
}

@test "status of a stale socket says that the process is dead" {
	stale bird
	fails 1 "its process is dead" "$W" status bird
	[[ $stderr == *bird* ]]
}

@test "list leaves files alone that are no guest's" {
	mkdir -p "$WATARI_RUNTIME_DIR"
	echo keep >"$WATARI_RUNTIME_DIR/notes.txt"
	[ "$("$W" list --json)" = "[]" ]
	[ "$(cat "$WATARI_RUNTIME_DIR/notes.txt")" = keep ]
}

@test "a process that accepts and says nothing does not hang status" {
	speaker bird ""
	fails 1 "does not answer" "$W" status bird
}

@test "a process that speaks garbage is told so" {
	speaker bird $'this is no JSON\n'
	fails 1 "does not speak as a guest does" "$W" status bird
}

@test "a process that answers nonsense in JSON is told so" {
	speaker bird $'{"ok":"maybe"}\n'
	fails 1 "no answer that makes sense" "$W" pause bird
}

@test "a name somebody listens under is in use" {
	echo x >k
	speaker bird ""
	fails 1 "lives here already" "$W" run --name bird --kernel k --memory 64M
	[ -S "$WATARI_RUNTIME_DIR/bird.sock" ]
}

@test "a runtime directory that cannot be made is an error with its path" {
	echo x >k
	export WATARI_RUNTIME_DIR=$PWD/not/there
	fails 1 "not/there" "$W" run --name bird --kernel k --memory 64M
}
