# SPDX-License-Identifier: Apache-2.0
#
# The guest that keeps a ledger (tests/lab/ledger.c), on hosts with shared storage: made, started, watched, judged.
# For tests that source lib.sh and store.sh. Must never start a guest that may run elsewhere: it asks the storage.
# Invariant: what the guest says is in /lab/guest of the host it runs on, and nowhere else.
# Next in the flow: tests/lab/nfs.t and tests/lab/faults-nfs.
# shellcheck shell=bash

ledger_watcher=

# ledger_prepare: program and initial file system.
ledger_prepare() {
	local tree=$lab_dir/ledger-tree package lock
	exec {lock}>"$lab_dir/lock" && flock "$lock" || lab_die "cannot lock $lab_dir/lock"
	package=$(lab_kernel cloud-amd64) || exit 1
	lab_tree "$tree" "$lab_tests/ledger-init"
	lab_modules_into "$package" "$tree" order virtio_pci virtio_blk
	gcc -O2 -Wall -D_GNU_SOURCE -static -o "$lab_dir/ledger" "$lab_tests/ledger.c" &&
		cp "$lab_dir/ledger" "$tree/bin/" || lab_die "cannot build ledger"
	lab_initrd "$tree" "$lab_dir/ledger.cpio.gz" || lab_die "cannot pack $tree"
	exec {lock}>&-
}

# ledger_hosts NAME: storage with an empty ledger, two hosts, a receiver on each, and the watch.
ledger_hosts() {
	lab_store_up "$lab_dir/run/$1-store" || return 1
	truncate -s 16M "$lab_store/disk.img" || return 1
	lab_pair_start "$1" --store --memory 1G
	lab_pair_up && ledger_receive a && ledger_receive b && ledger_watch
}

ledger_receive() {
	lab_do "$1" "receiver \$$1"
}

ledger_watch() {
	"$lab_tests/ledger-watch" "$lab_pair"/{a/guest,b/guest,sign,watched} &
	ledger_watcher=$!
	lab_wait 5 test -e "$lab_pair/watched"
}

ledger_end() {
	[ -z "$ledger_watcher" ] || { kill "$ledger_watcher" && wait "$ledger_watcher"; } 2>/dev/null
	ledger_watcher=
}

ledger_other() {
	[ "$1" = a ] && echo b || echo a
}

# ledger_host_again HOST: its power has come back.
ledger_host_again() {
	local tries
	for tries in 1 2 3; do
		lab_pair_power_on "$1"
		lab_pair_up && ledger_receive "$1" && return
		kill -KILL "${lab_pair_pid[$1]}" 2>/dev/null
		wait "${lab_pair_pid[$1]}" 2>/dev/null
	done
	return 1
}

# ledger_afresh: both hosts lose their power, and the guest starts on an empty ledger: after a finding.
ledger_afresh() {
	local host
	for host in a b; do
		kill -KILL "${lab_pair_pid[$host]}" 2>/dev/null
		wait "${lab_pair_pid[$host]}" 2>/dev/null
	done
	ledger_end
	rm -f "$lab_store"/* "$lab_pair"/{a,b}/guest "$lab_pair"/{sign,moment} && truncate -s 16M "$lab_store/disk.img" || return 1
	for host in a b; do
		ip link set "wire-$host" up
		ledger_host_again $host || return 1
	done
	ledger_watch && judged=0 && ledger_start a off 60
}

# ledger_start HOST DIRECT SECONDS: the guest, from its disk, wherever it was last; tries again while somebody
# has the disk's lock. What it says first may follow half a line of one that was killed.
ledger_start() {
	local end=$((SECONDS + $3)) ups
	ups=$(grep -c 'ledger: up' "$lab_pair/$1/guest" 2>/dev/null)
	while :; do
		lab_do "$1" "start guest.run \$watari run --name ledger --memory 128M --cpus 1 --kernel \$kernel \
			--initrd \$build/lab/ledger.cpio.gz --disk ledger,path=/store/disk.img,direct=$2 \
			--serial file:/lab/guest --force --append 'console=ttyS0 quiet panic=-1'
			up() { [ \"0\$(grep -c 'ledger: up' /lab/guest 2>/dev/null)\" -gt ${ups:-0} ]; }
			wait_for 300 eval '[ -e /lab/guest.run.status ] || up'; up" && return
		# It ended, and that was for want of the lock.
		[ -e "$lab_pair/$1/guest.run.status" ] && grep -q 'in use by\|is locked' "$lab_pair/$1/guest.run.errors" &&
			[ $SECONDS -lt $end ] || return 1
		sleep 0.5
	done
}

# ledger_whole SEQ: the disk is whole and has all blocks up to SEQ. A block in the making is not looked at twice.
ledger_whole() {
	local said tries
	for tries in 1 2 3; do
		said=$("$lab_dir/ledger" check "$lab_store/disk.img" "$1") && break
		sleep 0.3
	done
	echo "$said"
	[[ "$said" = "ledger: whole"* ]]
}

# json KEY: the first number or word of this key.
json() {
	sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}
