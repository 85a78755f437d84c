#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Real Linux, real KVM: in an emulated host, watari boots Debian's unmodified cloud kernel and moves
# it live between two watari processes, five times there and back, with 1 and with 2 vCPUs.
# Never needs /dev/kvm on this machine: the emulated host has its own.
# Next in the flow: tests/lab/move-inside does it, tests/lab/judge says how it went.
#
# Environment: LAB_CPUS="1 2", LAB_MOVES=10, LAB_SECONDS (how long a guest counts at
# most), LAB_TIMEOUT.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cpus=${LAB_CPUS:-1 2} moves=${LAB_MOVES:-10}
[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare

dir=$lab_dir/run/move
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/settings" <<END
watari=$(realpath "$lab_watari")
tests=$lab_tests
kernel=$lab_guest_kernel
initrd=$lab_guest_initrd
cpus="$cpus"
moves=$moves
seconds=${LAB_SECONDS:-$((60 + moves * 20))}
END
cp "$lab_tests/move-inside" "$dir/script"

lab_host_run move "${LAB_TIMEOUT:-600}" --memory 2G
"$lab_tests/judge" "$dir" "$moves" $cpus
