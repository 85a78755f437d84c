#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A guest's disk image is where the guest is: nobody else's meanwhile, and anybody's afterwards.

load helper

WORK="workset=4M rate=50000 fill=32M"

image() {
	truncate -s 16M disk.img
	DISK="root,path=$PWD/disk.img"
}

# refused TEXT: a second guest may not have the image, and hears TEXT.
refused() {
	fails "disk 'root': $PWD/disk.img is in use by $1" on C run --name other --kernel guest.elf \
		--serial none --disk "$DISK"
}

@test "a second guest on a writable image is refused and told whose it is; killed, the image is free at once" {
	image
	start A bird --memory 128M --disk "$DISK" --append "$WORK"
	refused "guest bird on host $(hostname), process $RUN"
	fails "disk 'root': cannot open" on C run --name other --kernel guest.elf --serial none \
		--disk "root,path=$PWD/gone.img"
	kill -9 "$RUN"
	wait "$RUN" || true
	start B next --memory 128M --disk "$DISK" --append "$WORK"
	refused "guest next on host"
	on B kill next
	wait "$RUN"
	[ ! -e disk.img.holder ]
}

@test "readers share an image" {
	image
	start A one --memory 128M --disk "$DISK,readonly=on" --append "$WORK"
	start B two --memory 128M --disk "$DISK,readonly=on" --append "$WORK"
	fails "is in use for reading" on C run --name other --kernel guest.elf --serial none --disk "$DISK"
}

@test "the lock moves with the guest, there and back" {
	image
	start A bird --memory 128M --disk "$DISK,queues=2,direct=on" --append "$WORK"
	receiver A; to_a=$PORT
	receiver B; to_b=$PORT
	on A migrate bird --to "127.0.0.1:$to_b"
	lives B bird
	# Its process there, not the one that it left.
	refused "guest bird on host $(hostname), process $(field B bird pid)"
	on B migrate bird --to "127.0.0.1:$to_a"
	lives A bird
	refused "guest bird on host"
	on A kill bird
	[ ! -e disk.img.holder ]
	start C other --memory 128M --disk "$DISK" --append "$WORK"
	lives C other
}

@test "a move that fails leaves guest and image at the source: no image at the target, or another one" {
	image
	start A bird --memory 128M --disk "$DISK" --append "$WORK"
	receiver B
	mv disk.img aside.img
	run on A migrate bird --to "127.0.0.1:$PORT"
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"disk 'root': cannot open"* ]]
	mv aside.img disk.img
	# Found out in the freeze, when the target loads its state.
	truncate -s 8M disk.img
	run on A migrate bird --to "127.0.0.1:$PORT"
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"is it the same image?"* ]]
	lives A bird
	refused "guest bird on host"
	truncate -s 16M disk.img
	on A migrate bird --to "127.0.0.1:$PORT"
	lives B bird
	refused "guest bird on host"
}
