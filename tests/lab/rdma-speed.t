#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What RDMA is for, measured between two emulated hosts in one run: the goodput of a move's copy phase
# against ib_write_bw, beside the same running guest, and the processor time the target spends for it
# against a move over TCP.
# Never compares with a figure of another run: the emulator's speed changes with the machine's load.
# Invariant: processor time is that of the target's two threads that have to do with the move, as the
# scheduler counts it. The soft-RoCE driver's own work, which an adapter would do in hardware, is done
# in the kernel's soft interrupts and is not in it; nor is TCP's there, which is to TCP's advantage.
# Next in the flow: tests/lab/inside.sh holds what runs inside.
#
# Environment: LAB_GOODPUT=90, LAB_CPU=10: what is asked for, in percent.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
trap lab_pair_end EXIT

# ib_bw: MB/s (10^6) of RDMA writes as long as a put, from a to b, while the guest runs on a.
ib_bw() {
	local server said options='-R -d rxe0 -s 262144 -n 400 -F'
	lab_do b "timeout 90 ib_write_bw $options" >/dev/null 2>&1 &
	server=$!
	said=$(lab_do a "wait_for 20 timeout 60 ib_write_bw $options \$b")
	wait $server
	# the line "bytes iterations peak average rate"; perftest's MB are MiB
	echo "$said" | awk '$1 == 262144 { printf "%d\n", $4 * 1.048576; found = 1 } END { exit !found }'
}

# watch_cpu: on b, in the background: nanoseconds of the target's threads, as long as they are there.
watch_cpu='
	: >/lab/cpu
	while [ ! -e /lab/cpu.stop ]; do
		sum=0 seen=
		for comm in /proc/[0-9]*/task/[0-9]*/comm; do
			read -r name 2>/dev/null <"$comm" || continue
			case $name in mig-target | rdma-reg) ;; *) continue ;; esac
			read -r ns rest 2>/dev/null <"${comm%comm}schedstat" && sum=$((sum + ns)) seen=1
		done
		[ -z "$seen" ] || echo $sum >>/lab/cpu
		sleep 0.1
	done'

# move NAME TRANSPORT: the guest from a to b; leaves $lab_pair/NAME (the result) and NAME.cpu (ns).
move() {
	local status
	lab_do b "rm -f /lab/cpu.stop; $watch_cpu" &
	lab_do a "\$watari migrate bird --to \$b:7777 --transport $2 --downtime-limit 300ms --json" \
		>"$lab_pair/$1"
	status=$?
	: >"$lab_pair/b/cpu.stop"
	wait $!
	sort -n "$lab_pair/b/cpu" | tail -n 1 >"$lab_pair/$1.cpu"
	cat "$lab_pair/$1"
	return $status
}

# of NAME KEY: a number of a move's result.
of() {
	sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$lab_pair/$1"
}

# fresh_guest: 256 MiB of random bytes on a, and none on b.
fresh_guest() {
	lab_do b '$watari kill bird' >/dev/null 2>&1
	lab_do a 'bench_guest bird workset=1M rate=200 fill=256M'
}

# per_gib NAME: processor milliseconds of the target for each GiB that came.
per_gib() {
	echo $(($(cat "$lab_pair/$1.cpu") * 1024 / ($(of "$1" sent_bytes) >> 20) / 1000000))
}

goodput() {
	local bw=$1 ours=$(($(of rdma goodput) / 1000000))
	echo "ib_write_bw $bw MB/s, goodput $ours MB/s: $((ours * 100 / bw)) %"
	[ $((ours * 100)) -ge $((bw * ${LAB_GOODPUT:-90})) ]
}

processor() {
	echo "target's processor time for a GiB: rdma $(per_gib rdma) ms, tcp $(per_gib tcp) ms"
	[ $(($(per_gib rdma) * 100)) -le $(($(per_gib tcp) * ${LAB_CPU:-10})) ]
}

lab_pair_start speed --memory 2G --cpus 2
lab_check "two hosts come up" lab_pair_up || lab_done
lab_check "b waits for guests" lab_do b 'receiver $b' || lab_done
lab_check "a guest with 256 MiB of random memory runs on a" fresh_guest || lab_done
before=$(ib_bw)
lab_check "ib_write_bw runs beside it: ${before:-none} MB/s" test -n "$before" || lab_done
lab_check "it moves over rdma" move rdma rdma
lab_check "once more on a" fresh_guest
lab_check "it moves over tcp" move tcp tcp
lab_check "goodput over rdma is at least ${LAB_GOODPUT:-90} % of ib_write_bw" goodput "$before"
echo "# $(goodput "$before")"
lab_check "the target's processor time over rdma is at most ${LAB_CPU:-10} % of that over tcp" processor
echo "# $(processor)"
lab_done
