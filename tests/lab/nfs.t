#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two hosts and one storage over NFSv4, whose locks arbitrate between them: a lock taken on one is refused on the
# other, free at once when its process is killed, and after the lease when its host is lost. On it an unmodified
# Linux that keeps a ledger on its disk: a second guest is refused by name, it moves there and back, it is killed
# and at once started on the other host; a few random faults; and the power of its host.
# Never counts a moment's luck as proof: the long campaign is tests/lab/faults-nfs (make lab-faults).
# Next in the flow: tests/lab/store.sh is the storage, tests/lab/ledger.sh the guest.
#
#   Environment: LAB_FAULTS=2 (how many), LAB_SEED=12, LAB_KINDS (of faults.sh; here all but the loss of a host, which costs
#   more time than the rest and comes at the end).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$lab_tests/store.sh"
lab_store_netns "$0" "$@"
. "$lab_tests/ledger.sh"
. "$lab_tests/faults.sh"

export LAB_KINDS=${LAB_KINDS:-kill-source kill-target cable}
[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
ledger_prepare
trap 'ledger_end; lab_pair_end; lab_store_down; kill $(jobs -p) 2>/dev/null' EXIT

refused_across_hosts() {
	lab_do a 'truncate -s 1M /store/free && start lock "$tests/locker" /store/free && wait_for 20 says locked /lab/lock' &&
		! lab_do b '"$tests/locker" /store/free once'
}

free_at_once() {
	lab_do a 'kill -KILL $(cat /lab/lock.pid); wait_for 10 test -e /lab/lock.status' &&
		lab_do b '"$tests/locker" /store/free once'
}

# synced: "HOST SEQ" of the last block that the guest says is synced.
synced() {
	"$lab_tests/ledger-judge" "$lab_pair/watched" last | cut -d' ' -f1,3
}

# beyond HOST SEQ: it has said so of a later one, there.
beyond() {
	local host seq
	read -r host seq < <(synced)
	[ "$host" = "$1" ] && [ "$seq" -gt "$2" ]
}

# goes_on N HOST: it says so of N blocks more than now.
goes_on() {
	local host seq
	read -r host seq < <(synced)
	lab_wait 60 beyond "$2" $((${seq:-0} + $1))
}

# judged: nobody has seen two writers, and nothing that was synced is lost.
judged() {
	local host seq
	read -r host seq < <(synced)
	[ -z "$("$lab_tests/ledger-judge" "$lab_pair/watched")" ] && [ -n "$seq" ] && ledger_whole "$seq" && return
	"$lab_tests/ledger-judge" "$lab_pair/watched"
	return 1
}

second_refused() {
	lab_do b '"$watari" run --name second --memory 128M --kernel $kernel --serial none \
		--disk ledger,path=/store/disk.img' >"$lab_pair/second" 2>&1
	[ $? = 1 ] && cat "$lab_pair/second" && grep -q 'in use by guest ledger on host a' "$lab_pair/second"
}

# moves FROM TO
moves() {
	lab_do "$1" "\$watari migrate ledger --to \$$2:7777 --downtime-limit 500ms --frozen-timeout 10s" && goes_on 5 "$2"
}

killed() {
	lab_do "$1" 'kill -KILL $("$watari" status ledger --json | sed -n "s/.*\"pid\":\([0-9]*\).*/\1/p")'
}

# Its host is lost: what it had locked is refused for as long as it could come back, and then free.
power_lost() {
	local begin
	kill -KILL "${lab_pair_pid[$1]}" && begin=$(date +%s%N)
	wait "${lab_pair_pid[$1]}" 2>/dev/null
	lab_do "$2" '"$tests/locker" /store/disk.img once' && { echo "the lock was free before the lease was over"; return 1; }
	lab_do "$2" "wait_for $((lab_lease * 3)) \"\$tests/locker\" /store/disk.img once >/dev/null" || return 1
	echo "free after $((($(date +%s%N) - begin) / 1000000)) ms, with a lease of $lab_lease s"
	[ $((($(date +%s%N) - begin) / 1000000000)) -le $((lab_lease * 3)) ]
}

# One fault of the campaign; its result is in faults.jsonl.
a_fault() {
	fault && cat "$results" && [ $violated = 0 ]
}

lab_check "two hosts come up with one storage" ledger_hosts nfs || lab_done
lab_check "a lock that one host has is refused to the other" refused_across_hosts
lab_check "it is free at once when its process is killed" free_at_once
lab_check "Linux starts on a from its disk on the storage" eval "ledger_start a on 60 && goes_on 5 a" || lab_done
lab_check "a second guest on its image is refused on b: who has it is named" second_refused
lab_check "it moves to b" moves a b
lab_check "it moves back" moves b a
lab_check "every block is there, and had one writer" judged
lab_check "its watari killed, it starts at once on b" eval "killed a && ledger_start b off 60 && goes_on 5 b"
lab_check "nothing synced was lost" judged
seed=${LAB_SEED:-12} count=${LAB_FAULTS:-2} results=$lab_dir/run/nfs/faults.jsonl judged=0 from=b
for ((n = 1; n <= count; n++)); do
	eval "$(draw $n)"
	lab_check "fault $n, $kind $moment ms: one runner, nothing synced is lost" a_fault || break
	tail -n 1 "$results" | sed 's/^/# /'
done
lab_check "$from has lost its power: its lock is free for the other, after the lease" power_lost $from $(ledger_other $from)
from=$(ledger_other $from)
lab_check "Linux starts there, and nothing synced was lost" eval "ledger_start $from off 60 && goes_on 5 $from && judged"
lab_done
