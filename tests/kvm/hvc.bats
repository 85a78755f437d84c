#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest whose console is virtio: the serial port is heard, what is typed waits for the guest and
# arrives whole, also after a move.

load helper

# hvc HOST NAME ARGS...: the guest of hvc.S, as start_small; attached, VIEW and fd 8 as of view; its output
# is in the file "one".
hvc() {
	assemble hvc
	start_small hvc "$@" --console virtio
	view "$1" "$2" one
	until_ok 30 grep -q up one
}

# listen HOST NAME: presses the button, which the guest answers by reading, not by its end.
listen() {
	fails "has not powered off" on "$1" stop "$2" --timeout 100ms
}

# sent: the viewer has read all that was typed, and sleeps; its socket has it then.
sent() {
	perl -e 'ioctl(STDIN, 0x541b, my $n = pack("i", 1)) or die "FIONREAD: $!\n"; exit unpack("i", $n) != 0' <&8 &&
		grep -q '^State:.S' "/proc/$VIEW/status"
}

# echoed FILE N: the file has the guest's two words and N bytes after them.
echoed() {
	[ "$(wc -c <"$1")" -eq $((9 + $2)) ]
}

@test "what is typed at a guest that does not read waits outside, and comes whole when it does" {
	hvc A bird
	[ "$(field A bird console)" = virtio ]
	diff <(printf 'early\nup\n') one
	seq 100000 109999 | head -c 49152 >typed # more than the machine holds, less than its scrollback
	cat typed >&8 3>&- &
	[ "$(field A bird state)" = running ]
	diff <(printf 'early\nup\n') one
	listen A bird
	until_ok 60 echoed one 49152
	cmp <(printf 'early\nup\n'; cat typed) one
	! grep -q dropped bird.log
	exec 8>&-
}

@test "what waits for the guest moves with it" {
	hvc A bird
	receiver B
	seq 1000 1999 | head -c 3000 >typed
	cat typed >&8
	until_ok 10 sent
	# each answer is a few turns of the loop that takes what was sent, 512 bytes a turn
	for _ in 1 2 3 4 5; do on A status bird >/dev/null; done
	on A migrate bird --to "127.0.0.1:$PORT"
	exec 8>&-
	wait "$VIEW"
	[ "$(field B bird console)" = virtio ]
	view B bird two
	until_ok 10 grep -q up two
	listen B bird
	until_ok 60 echoed two 3000
	cmp <(printf 'early\nup\n'; cat typed) two
	type_keys 'and on'
	until_ok 10 echoed two 3006
	exec 8>&-
}

@test "a pipe on standard input waits for the guest, too" {
	assemble hvc
	seq 100000 109999 | head -c 49152 >typed
	cat typed 3>&- | WATARI_RUNTIME_DIR=$PWD/A "$W" run --name bird --kernel hvc.elf --memory 64M \
		--console virtio >one 2>bird.log 3>&- &
	until_ok 30 grep -q up one
	listen A bird
	until_ok 60 echoed one 49152
	cmp <(printf 'early\nup\n'; cat typed) one
	! grep -q dropped bird.log
}

@test "a console that is neither is refused, and a serial console has no hvc0" {
	fails "console 'tty' is neither serial nor virtio" on A run --name bird --kernel guest.elf --console tty
	start A bird --memory 256M
	[ "$(field A bird console)" = serial ]
}
