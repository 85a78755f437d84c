#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's unmodified cloud kernel finds its network card, pings the emulated host, and keeps a TCP
# connection with numbered lines over three moves; memory it frees or gives to its balloon is not moved.
# Next in the flow: tests/lab/net-inside.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_modules="$lab_modules bridge tun"
lab_prepare

dir=$lab_dir/run/net tree=$lab_dir/net-tree
lab_tree "$tree" "$lab_tests/net-guest-init"
lab_modules_into "$(lab_kernel cloud-amd64)" "$tree" order virtio_pci virtio_net virtio_balloon
lab_initrd "$tree" "$lab_dir/net.cpio.gz" || lab_die "cannot pack $tree"
rm -rf "$dir" && mkdir -p "$dir" || exit 1
cat >"$dir/settings" <<END
watari=$(realpath "$lab_watari")
tests=$lab_tests
kernel=$lab_guest_kernel
netinitrd=$lab_dir/net.cpio.gz
END
cp "$lab_tests/net-inside" "$dir/script"
lab_host_run net "${LAB_TIMEOUT:-240}" --memory 2G

number() {
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$dir/$2"
}

card_found() {
	grep 'lab: card' "$dir/guest"
	grep -q '^lab: card 02:.* virtio_net' <(tr -d '\r' <"$dir/guest")
}

moved() {
	for n in 1 2 3; do
		echo "move $n: $(number sent_bytes move.$n) bytes, blackout $(number total_ns move.$n) ns"
		cat "$dir/move.$n.errors"
		[ "$(cat "$dir/move.$n.status")" = 0 ] || return 1
	done
}

lines_whole() {
	tail -n 1 "$dir/peer.log"
	grep -Eq '^end closed sent ([0-9]{3,}) back \1 wrong 0 ' "$dir/peer.log"
}

ports_right() {
	cat "$dir/ports" "$dir/ports.after"
	[ "$(wc -l <"$dir/ports")" = 1 ] && [ "$(wc -l <"$dir/ports.after")" = 0 ]
}

# Linux reports free memory in whole blocks of 2 MiB, so of 64 MiB some stay.
freed_not_moved() {
	local before after
	before=$(number sent_bytes move.1) after=$(number sent_bytes move.2)
	cat "$dir/balloon.dropped"
	echo "sent before $before, after 64 MiB were freed $after"
	[ -n "$after" ] && [ $((before - after)) -gt $((40 << 20)) ]
}

# It was reported as free before, so there is no more to gain; but it must not come back either.
balloon_not_moved() {
	local before after
	before=$(number sent_bytes move.2) after=$(number sent_bytes move.3)
	cat "$dir/balloon.ask" "$dir/balloon.asked" "$dir/balloon.3"
	echo "sent before $before, with 32 MiB in the balloon $after"
	[ "$(number size_bytes balloon.3)" = $((224 << 20)) ] && [ $((after - before)) -lt $((4 << 20)) ]
}

# But for the emulator's own: it stands still now and then, and a guest's clock watchdog sees that.
log_clean() {
	! sed -n '/kernel log begins/,/kernel log ends/p' "$dir/guest" | tr -d '\r' | sed '1,/lab: user space/d' |
		grep -E '^<[0-4]>' | grep -v 'clocksource: Long readout interval'
}

lab_check 'the guest has a virtio network card with an address of its own' card_found
lab_check 'the host answers its ping' grep -q 'lab: ping answered' "$dir/guest"
lab_check 'three moves' moved
lab_check 'every line of the connection came back, once and in order' lines_whole
lab_check 'one tap at a time stays on the bridge, and none in the end' ports_right
lab_check 'memory that the guest freed is not moved' freed_not_moved
lab_check 'memory in the balloon is not moved' balloon_not_moved
lab_check 'the guest has nothing to warn about' log_clean
echo "# $(tail -n 1 "$dir/peer.log")"
echo "# bytes sent by the three moves: $(for n in 1 2 3; do number sent_bytes move.$n; done | xargs)"
[ $lab_failed = 0 ] || lab_host_explain net
echo "1..$lab_points"
[ $lab_failed = 0 ]
