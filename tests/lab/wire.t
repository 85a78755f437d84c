#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The lab's own ground, before anything of watari stands on it: two emulated hosts on one wire see
# each other, and soft-RoCE on it carries RDMA writes from one to the other.
# Never says anything about watari: a failure here is the lab's.
# Next in the flow: tests/lab/pair.t moves guests over it.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_prepare
trap lab_pair_end EXIT

lab_pair_start wire --memory 1G
lab_check "two hosts come up" lab_pair_up

reach() {
	lab_do a 'busybox ping -c 3 -s 4000 $b'
}
lab_check "a reaches b, with packets of 4000 bytes" reach

active() {
	lab_do "$1" 'rdma link show rxe0/1; ibv_devinfo -d rxe0' | grep -E '^link|state:|active_mtu|_ACTIVE' |
		tee /dev/stderr | grep -q 'state ACTIVE physical_state LINK_UP netdev eth0'
}
lab_check "soft-RoCE is active on a" active a
lab_check "soft-RoCE is active on b" active b

# -R: the connection is made by the RDMA connection manager, as watari does.
write_bw() {
	local server rc
	lab_do b 'timeout 60 ib_write_bw -R -d rxe0 -s 65536 -n 200 --report_gbits' >/dev/null 2>&1 &
	server=$!
	lab_do a 'wait_for 20 timeout 40 ib_write_bw -R -d rxe0 -s 65536 -n 200 --report_gbits $b'
	rc=$?
	wait $server && return $rc
}
lab_check "RDMA writes go from a to b" write_bw

crossing() {
	local sum
	lab_do a 'echo from-a >/pair/word; wait_for 5 says from-b /pair/answer' &
	lab_do b 'wait_for 5 says from-a /pair/word && echo from-b >/pair/answer'
	wait $!
}
lab_check "commands run beside each other in both, and meet in /pair" crossing

code() {
	lab_do b 'exit 7'
	[ $? = 7 ]
}
lab_check "a command's exit status comes through" code
lab_done
