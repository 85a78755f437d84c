#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract suite on rdma: in an emulated host with soft-RoCE, both ends of every case over the
# one device, with 1, 4 and 16 streams. The kernel has to have nothing to complain of afterwards.
# Never needs an RDMA device on this machine.
# Next in the flow: tests/contract/contract.c has the cases, tests/lab/rdma.t two hosts.
#
# Environment: LAB_STREAMS="1 4 16", LAB_TIMEOUT, LAB_CONTRACT (another build of the suite: asan).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

contract=${LAB_CONTRACT:-$lab_dir/../tests/contract/contract}
[ -x "$contract" ] || lab_die "$contract is not built: run make tests"
lab_prepare

dir=$lab_dir/run/rdma-contract
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/script" <<END
export CMOCKA_MESSAGE_OUTPUT=TAP
$(realpath "$contract") rdma 10.77.0.1 ${LAB_STREAMS:-1 4 16} >/lab/contract 2>/lab/contract.errors
echo \$? >/lab/contract.status
dmesg >/lab/kernel-log
END
lab_host_start rdma-contract --memory 1G --nic user \
	--network "eth0 10.77.0.1/24 $lab_pair_mtu rxe0"
trap 'kill -KILL $lab_host_pid 2>/dev/null' EXIT
lab_host_wait rdma-contract "$lab_host_pid" "${LAB_TIMEOUT:-600}" || lab_host_explain rdma-contract
trap - EXIT

# The suite's own points, numbered anew: each number of streams is a group that counts from one.
points=0
while read -r line; do
	case $line in
	'ok '* | 'not ok '*)
		points=$((points + 1))
		echo "$line" | sed "s/^\(not \)\{0,1\}ok [0-9]* /\1ok $points /"
		;;
	'#'*) echo "$line" ;;
	esac
done < <(tr -d '\r' <"$dir/contract" 2>/dev/null)

finished() {
	[ "$(cat "$dir/contract.status" 2>/dev/null)" = 0 ]
}
quiet() {
	[ -s "$dir/kernel-log" ] &&
		! grep -E 'WARNING|BUG:|Oops|Call Trace|general protection' "$dir/kernel-log"
}
lab_points=$points
lab_check "the suite ran to its end" finished
lab_check "the kernel has nothing to complain of" quiet
lab_done
