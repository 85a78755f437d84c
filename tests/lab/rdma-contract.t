#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract suite on rdma: in an emulated host with soft-RoCE, both ends of every case over the
# one device, with 1, 4 and 16 streams. Then `watari bench transport` over the same device, beside
# ib_write_bw. The kernel has to have nothing to complain of afterwards.
# Never needs an RDMA device on this machine.
# Next in the flow: tests/contract/contract.c has the cases, tests/lab/rdma.t two hosts.
#
# Environment: LAB_STREAMS="1 4 16", LAB_TIMEOUT, LAB_CONTRACT (another build of the suite: asan).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

contract=${LAB_CONTRACT:-$lab_dir/../tests/contract/contract}
[ -x "$contract" ] && [ -x "$lab_watari" ] || lab_die "$contract or $lab_watari is not built: run make all tests"
lab_prepare

dir=$lab_dir/run/rdma-contract
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/script" <<END
export CMOCKA_MESSAGE_OUTPUT=TAP
$(realpath "$contract") rdma 10.77.0.1 ${LAB_STREAMS:-1 4 16} >/lab/contract 2>/lab/contract.errors
echo \$? >/lab/contract.status
$(realpath "$lab_watari") bench transport --transport rdma --address 10.77.0.1 --streams 1 --put 64K \\
	--bytes 64M --json /lab/bench.json >/lab/bench 2>/lab/bench.errors
dmesg >/lab/kernel-log
END
lab_host_run rdma-contract "${LAB_TIMEOUT:-600}" --memory 1G --nic user \
	--network "eth0 10.77.0.1/24 $lab_pair_mtu rxe0"

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
beside() {
	cat "$dir/bench" "$dir/bench.errors"
	perl -MJSON::PP -0777 -ne '
		my %r = map { $_->{transport} => $_ } @{decode_json($_)->{rows}};
		my ($we, $plain) = map { $r{$_}{goodput_bytes_per_s} // 0 } qw(rdma ib_write_bw);
		printf "rdma %.1f MB/s, ib_write_bw %.1f MB/s\n", $we / 1e6, $plain / 1e6;
		exit !($we > 0 && $plain > 0)' "$dir/bench.json"
}
quiet() {
	[ -s "$dir/kernel-log" ] &&
		! grep -E 'WARNING|BUG:|Oops|Call Trace|general protection' "$dir/kernel-log"
}
lab_points=$points
lab_check "the suite ran to its end" finished
lab_check "bench transport measures rdma beside ib_write_bw" beside
lab_check "the kernel has nothing to complain of" quiet
lab_done
