#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What RDMA is for, measured between two emulated hosts in one run: the goodput of a move's copy phase
# against ib_write_bw, beside the same running guest, and the processor time the target spends for it
# against a move over TCP.
# Never compares with a figure of another run: the emulator's speed changes with the machine's load. It is
# measured before and after the move, and where the two differ by more than a quarter, the machine is too
# busy to say anything: then the points are skipped, with both figures.
# Invariant: processor time is that of the target's own threads, as the scheduler counts it: the one that
# receives, and over RDMA the one that allocates and pins, which TCP's does in its page faults. What
# soft-RoCE does, which an adapter would do in hardware, is done in the kernel's soft interrupts and is not
# in it, but for those that hit a running thread; nor is TCP's there, which is to TCP's advantage.
# Next in the flow: tests/lab/inside.sh holds what runs inside.
#
# What a thread has used when it is first looked at is not counted: making the connection, loading drivers
# and rehearsing the switchover are no part of the copy.
# Environment: LAB_FILL=128M (random memory), LAB_GOODPUT=90, LAB_CPU=10 (what is asked for, in percent).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
trap lab_pair_end EXIT

# ib_bw: MB/s (10^6) of RDMA writes as long as a put, from a to b, while the guest runs on a.
ib_bw() {
	local server said options='-R -d rxe0 -s 262144 -n 200 -F'
	lab_do b "timeout 90 ib_write_bw $options" >/dev/null 2>&1 &
	server=$!
	said=$(lab_do a "wait_for 20 timeout 60 ib_write_bw $options \$b")
	wait $server
	# the line "bytes iterations peak average rate"; perftest's MB are MiB
	echo "$said" | awk '$1 == 262144 { printf "%d\n", $4 * 1.048576; found = 1 } END { exit !found }'
}

# watch_cpu: on b, in the background: "THREAD NANOSECONDS" of the target's threads, again and again.
watch_cpu='
	: >/lab/cpu
	while [ ! -e /lab/cpu.stop ]; do
		for comm in $(grep -lxE "mig-target|rdma-reg" /proc/[0-9]*/task/[0-9]*/comm 2>/dev/null); do
			read -r name 2>/dev/null <"$comm" && read -r ns rest 2>/dev/null <"${comm%comm}schedstat" &&
				echo "$name $ns" >>/lab/cpu
		done
		sleep 0.3
	done'

# move NAME TRANSPORT: the guest from a to b; leaves $lab_pair/NAME (the result) and NAME.cpu.
move() {
	local status
	lab_do b "rm -f /lab/cpu.stop; $watch_cpu" &
	until [ -e "$lab_pair/b/cpu" ]; do sleep 0.05; done
	lab_do a "\$watari migrate bird --to \$b:7777 --transport $2 --downtime-limit 300ms --json" \
		>"$lab_pair/$1"
	status=$?
	: >"$lab_pair/b/cpu.stop"
	wait $!
	mv "$lab_pair/b/cpu" "$lab_pair/$1.cpu"
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
	lab_do a 'bench_guest bird workset=1M rate=200 fill='"${LAB_FILL:-128M}"
}

# per_gib NAME THREAD: processor milliseconds of the target's thread for each GiB that came: from the first
# look at it to the last.
per_gib() {
	awk -v thread="$2" -v mib=$(($(of "$1" sent_bytes) >> 20)) '
		$1 == thread && first == "" { first = $2 }
		$1 == thread && $2 > most { most = $2 }
		END { printf "%d", (most - first) / 1e6 * 1024 / mib }' "$lab_pair/$1.cpu"
}

goodput() {
	local bw=$1 ours=$(($(of rdma goodput) / 1000000))
	echo "ib_write_bw $bw MB/s, goodput $ours MB/s: $((ours * 100 / bw)) %"
	[ $((ours * 100)) -ge $((bw * ${LAB_GOODPUT:-90})) ]
}

# steady BEFORE AFTER: the machine was the same at both times, near enough.
steady() {
	[ $(($1 * 4)) -le $(($2 * 5)) ] && [ $(($2 * 4)) -le $(($1 * 5)) ]
}

# measured NAME COMMAND...: a point, or a skipped one on a machine too busy to measure on.
measured() {
	if steady "$before" "$after"; then
		lab_check "$@"
	else
		lab_points=$((lab_points + 1))
		echo "ok $lab_points - $1 # SKIP the machine is too busy: ib_write_bw $before MB/s, then $after MB/s"
	fi
	echo "# $("${@:2}")"
}

processor() {
	local rdma=$(per_gib rdma mig-target) tcp=$(per_gib tcp mig-target)
	echo "processor time of the target for a GiB: rdma $rdma ms, and $(per_gib rdma rdma-reg) ms to allocate and pin;" \
		"tcp $tcp ms, allocating in it: $((rdma * 100 / (tcp ? tcp : 1))) %"
	# 0 is no measurement.
	[ "$rdma" -gt 0 ] && [ "$tcp" -gt 0 ] && [ $((rdma * 100)) -le $((tcp * ${LAB_CPU:-10})) ]
}

lab_pair_start speed --memory 2G --cpus 2
lab_check "two hosts come up" lab_pair_up || lab_done
lab_check "b waits for guests" lab_do b 'receiver $b' || lab_done
lab_check "a guest with random memory runs on a" fresh_guest || lab_done
before=$(ib_bw)
lab_check "ib_write_bw runs beside it: ${before:-none} MB/s" test -n "$before" || lab_done
lab_check "it moves over rdma" move rdma rdma || lab_done
lab_check "once more on a" fresh_guest || lab_done
after=$(ib_bw)
lab_check "ib_write_bw runs beside it again: ${after:-none} MB/s" test -n "$after" || lab_done
lab_check "it moves over tcp" move tcp tcp || lab_done
measured "goodput over rdma is at least ${LAB_GOODPUT:-90} % of ib_write_bw" goodput $(((before + after) / 2))
measured "receiving over rdma takes at most ${LAB_CPU:-10} % of the processor time it takes over tcp" processor
lab_done
