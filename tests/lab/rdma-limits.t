#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What RDMA pins, and may pin: nothing stays pinned after a move or after one that failed, and a host that
# does not let watari pin enough refuses before a page has moved, with the figures, while the guest runs on.
# Never counts on being root for the limits: the processes that are held to one have lost CAP_IPC_LOCK.
# Next in the flow: tests/lab/inside.sh holds what runs inside, tests/unit/rdma_limits_test.c the figures.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

contract=$lab_dir/../tests/contract/contract
[ -x "$lab_watari" ] && [ -x "$contract" ] || lab_die "not built: run make all tests"
lab_prepare
trap lab_pair_end EXIT

# held KIB COMMAND...: as words for a host: the command with that much locked memory, and no way round it.
held() {
	echo "setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock prlimit --memlock=$(($1 << 10)):$(($1 << 10)) ${*:2}"
}

# Bytes that the guest's process on a host has pinned, in KiB; waits for 0 as long as 20 s.
nothing_pinned() {
	lab_do "$1" 'pinned() { sed -n "s/^VmPin:[^0-9]*\([0-9]*\).*/\1/p" \
			/proc/$("$watari" status bird --json | sed -n "s/.*\"pid\":\([0-9]*\).*/\1/p")/status; }
		free() { [ "$(pinned)" = 0 ]; }
		wait_for 20 free; echo "pinned: $(pinned) KiB"; free'
}

migrate() {
	lab_do a "\$watari migrate bird --to \$b:7777 --transport rdma --downtime-limit 300ms $*"
}

# refused PATTERN [OPTION...]: a move fails with that, and the guest goes on.
refused() {
	local said
	said=$(migrate "${@:2}" 2>&1) && return 1
	echo "$said"
	echo "$said" | grep -qE "^watari: .*$1" && lab_do a 'bench_lives bird'
}

# Puts into chunks that nobody announced: the registration itself fails, and its words reach the source.
chunk_refused() {
	local said
	said=$(lab_do a "CONTRACT_ONLY='*puts land*' $(held 7000 "$(realpath "$contract")") rdma \$a 1" 2>&1)
	echo "$said"
	echo "$said" | grep -q 'bytes are missing. Run `ulimit -l unlimited`'
}

lab_pair_start limits --memory 2G
lab_check "two hosts come up" lab_pair_up || lab_done
lab_check "b waits for guests, and may pin 8 MiB" lab_do b "start receive $(held 8192 '$watari') receive \
	--listen \$b:7777 --trust-network && wait_for 30 says '^listening on ' /lab/receive" || lab_done
lab_check "a guest with 64 MiB of random memory runs on a" \
	lab_do a 'bench_guest bird workset=1M rate=200 fill=64M' || lab_done
lab_check "the target's limit refuses it, with the figures" refused 'MiB of guest memory have to be pinned, 8.00 MiB may be'
lab_check "nothing is pinned at the source" nothing_pinned a
lab_check "a chunk that cannot be pinned ends a connection with the bytes that are missing" chunk_refused
lab_check "b waits without a limit" lab_do b 'stop receive && receiver $b' || lab_done
lab_check "a device that is not there is refused by name" refused 'there is no RDMA device mlx5_7 here' --rdma-device mlx5_7
lab_check "on-demand paging that the device has not is refused" refused 'on-demand paging' --rdma-pin odp
lab_check "the guest moves, all of it registered" migrate --rdma-pin all
lab_check "nothing is pinned where it arrived" nothing_pinned b
lab_done
