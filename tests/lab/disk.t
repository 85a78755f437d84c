#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A real disk under a real system: Debian's unmodified kernel, a guest of watari in an emulated host,
# writes checksummed files with fsync to ext4 on virtio-blk while it is moved there and back.
# Never needs /dev/kvm on this machine: the emulated host has its own.
# Next in the flow: tests/lab/disk-inside does it, tests/lab/disk-init is the guest.
#
# Environment: LAB_MOVES=2, LAB_SECONDS=300 (how long the guest writes at most), LAB_TIMEOUT.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

moves=${LAB_MOVES:-2}
[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare

# The guest's modules come from the same package as its kernel, in the order they depend.
disk_initrd() {
	local tree=$lab_dir/disk-tree package
	package=$(lab_kernel cloud-amd64) || exit 1
	lab_tree "$tree" "$lab_tests/disk-init"
	lab_modules_into "$package" "$tree" order virtio_pci virtio_blk crc32c_generic ext4
	lab_initrd "$tree" "$lab_dir/disk.cpio.gz" || lab_die "cannot pack $tree"
}
disk_initrd

dir=$lab_dir/run/disk
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/settings" <<END
watari=$(realpath "$lab_watari")
tests=$lab_tests
kernel=$lab_guest_kernel
initrd=$lab_dir/disk.cpio.gz
moves=$moves
seconds=${LAB_SECONDS:-300}
END
cp "$lab_tests/disk-inside" "$dir/script"

lab_host_run disk "${LAB_TIMEOUT:-400}" --memory 2G

came_up() {
	grep -a '^disk: up, serial LAB-DISK-1, 2 queues, cache write back' "$dir/guest"
}

moved() {
	[ "$(awk '$2 == 0' "$dir/moves" | wc -l)" = "$moves" ] && return
	cat "$dir/moves" "$dir"/move.*.errors
	return 1
}

read_back() {
	grep -a '^disk: [1-9][0-9]* files read back, 0 bad' "$dir/guest" && return
	grep -a '^disk:' "$dir/guest" | tail -n 5
	return 1
}

# Levels 0 to 3 of the kernel's log, and what the block layer and ext4 say of a bad disk.
log_clean() {
	sed -n '/^disk: kernel log begins/,/^disk: kernel log ends/p' "$dir/guest" >"$dir/log"
	grep -q '^disk: kernel log ends' "$dir/log" || return 1
	! grep -aE '^<[0-3]>|I/O error|EXT4-fs (error|warning)|hung' "$dir/log"
}

refused() {
	cat "$dir/second.errors"
	[ "$(cat "$dir/second.status")" = 1 ] && grep -q 'in use by guest disk on host ' "$dir/second.errors"
}

fsck_clean() {
	cat "$dir/fsck"
	[ "$(cat "$dir/fsck.status")" = 0 ]
}

lab_check 'an unmodified kernel finds the disk, its serial number and both queues' came_up
lab_check "it moved $moves times while it wrote" moved
lab_check 'every file that was written with fsync reads back as it was' read_back
lab_check "the guest's kernel log has no error" log_clean
lab_check 'a second guest on the image was refused and told who has it' refused
lab_check 'the file system is whole' fsck_clean
echo "1..$lab_points"
[ $lab_failed = 0 ]
