#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What --transport auto takes between two hosts, and what it says: rdma where both can, tcp where a
# device, a route or leave to pin memory is missing at either end, with that reason; and a transport
# asked for by name that is impossible, which is an error and moves nothing.
# Never trusts the figure alone: the guest is looked at after each move.
# Next in the flow: hv/migrate/choose.c decides, transport-rdma/probe.c knows.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ -x "$lab_watari" ] || lab_die "$lab_watari is not built: run make"
lab_prepare
trap lab_pair_end EXIT

# moves FROM ADDRESS PATTERN [OPTION...]: the guest moves, and the line about its transport matches.
moves() {
	local from=$1 to=$2 pattern=$3 said
	shift 3
	said=$(lab_do "$from" "\$watari migrate bird --to $to:7777 --downtime-limit 500ms $*" 2>&1)
	echo "$said"
	grep -qE "^transport: $pattern" <<<"$said" && grep -q '^guest bird moved' <<<"$said"
}

# refused FROM ADDRESS PATTERN [OPTION...]: it does not, and the one sentence on why matches.
refused() {
	local from=$1 to=$2 pattern=$3 said
	shift 3
	said=$(lab_do "$from" "\$watari migrate bird --to $to:7777 $*" 2>&1)
	[ $? = 1 ] && echo "$said" | tee /dev/stderr | grep -qE "^watari: .*($pattern)" &&
		lab_do "$from" 'bench_lives bird'
}

whole() {
	lab_do "$1" 'bench_whole bird && bench_lives bird'
}

# restarted HOST LIMIT: b's or a's receiver again, with so much locked memory, and without the
# capability that makes the limit no matter.
pinned_receiver() {
	lab_do "$1" 'stop receive; ulimit -l '"$2"'
		start receive setpriv --inh-caps -ipc_lock --bounding-set -ipc_lock \
			$watari receive --listen $'"$1"':7777 --trust-network
		wait_for 30 says "^listening on " /lab/receive'
}

lab_pair_start choice --memory 1G
lab_check "two hosts come up" lab_pair_up || lab_done
lab_check "both wait for guests" eval "lab_do a 'receiver \$a' && lab_do b 'receiver \$b'" || lab_done

loopback() {
	lab_do a '$watari probe 127.0.0.1 --json' | tee /dev/stderr | grep -q '"best":"tcp"'
}
lab_check "127.0.0.1 is not taken for an address that RDMA can reach" loopback
device() {
	lab_do a '$watari probe '"$1" | tee /dev/stderr | grep -qE "^rdma +$2"
}
lab_check "the probe knows a device by name, with an address and without" eval \
	"device '\$b --rdma-device rxe0' 'usable +device rxe0' && device '--rdma-device rxe0' 'usable +device rxe0'"
lab_check "and one that is not here" eval "device '\$b --rdma-device rxe9' 'unusable +there is no RDMA device rxe9' &&
	device '--rdma-device rxe9' 'unusable +there is no RDMA device rxe9'"
lab_check "the bench guest runs on a" lab_do a 'bench_guest bird workset=1M rate=500 fill=16M' || lab_done
lab_check "its process has loaded the driver before any move, and holds no device" lab_do a '
	wait_for 30 grep -q librxe "/proc/$(cat /lab/bird.pid)/maps" &&
		! ls -l "/proc/$(cat /lab/bird.pid)/fd" | grep infiniband'

lab_check "auto takes rdma where both ends can" moves a '$b' 'rdma \(device rxe0 port 1 active'
lab_check "the guest is whole on b" whole b

lab_check "b may pin 8 MiB at most" pinned_receiver b 8192
lab_check "b's guest moves back to a" moves b '$a' rdma
lab_check "auto takes the next best, tcp, where the target may not pin the guest, and says so" moves a '$b' \
	'tcp \(not rdma: on the target: .* have to be pinned, 8.00 MiB may be: .ulimit -l unlimited'
lab_check "the guest is whole on b" whole b
lab_check "auto takes the next best, tcp, where the source may not pin it" moves b '$a' \
	'tcp \(not rdma: here: .* have to be pinned, 8.00 MiB may be'
lab_check "rdma by name is refused then, and the guest runs on" refused a '$b' \
	'transport rdma cannot be used: on the target: .* have to be pinned' --transport rdma

lab_check "b has no RDMA device any more" lab_do b 'rdma link delete rxe0'
lab_check "auto takes the next best, tcp, where the target has no device" moves a '$b' \
	'tcp \(not rdma: on the target: no RDMA device'
lab_check "the guest is whole on b" whole b
lab_check "auto takes the next best, tcp, where the source has none" moves b '$a' 'tcp \(not rdma: here: no RDMA device'
lab_check "the guest is whole on a" whole a
lab_check "rdma by name is refused then, and the guest runs on" refused a '$b' \
	'transport rdma cannot be used: on the target: no RDMA device' --transport rdma

# keyed_receiver HOST: its receiver again, for those who have the key and encrypt.
keyed_receiver() {
	lab_do "$1" 'stop receive; (umask 77 && cat /pair/key >/run/key) && receiver $'"$1"' --psk /run/key --encrypt'
}

# kernel_tls HOST DIRECTION N: its kernel made (Tx) or opened (Rx) the records of N streams or more since it
# came up, of none if N is 0, and found none changed. A host without the module has no such file.
kernel_tls() {
	lab_do "$1" 'cat /proc/net/tls_stat 2>/dev/null || echo "Tls'"$2"'Sw 0"' | tee /dev/stderr | awk -v n="$3" '
		$1 == "Tls'"$2"'Sw" { seen = $2 } $1 ~ /Error|Reject|Invalid/ { bad += $2 }
		END { exit !((n ? seen >= n : !seen) && !bad) }'
}

# encrypted FROM ADDRESS: the guest moves under the key. A handshake has 4 s, which is little for two emulated
# hosts on a crowded machine that load a library for it: it is tried again.
encrypted() {
	local try
	for try in 1 2 3 4; do
		moves "$1" "$2" tcp --psk /run/key --encrypt --streams 2 && return
		lab_do "$1" 'bench_lives bird' || return
	done
	return 1
}

lab_check "a makes a key, and both take guests only under it" eval \
	"lab_do a '\$watari keygen /run/first && cat /run/first >/pair/key' && keyed_receiver a && keyed_receiver b"
# An emulated processor takes long to encrypt, so this guest is a small one.
lab_check "a small guest takes the place of the other" lab_do a '
	gone() { ! $watari status bird >/dev/null 2>&1; }
	$watari kill bird && wait_for 20 gone && bench_guest bird workset=256K rate=100 fill=2M' || lab_done
lab_check "a guest moves with --encrypt over two streams" encrypted a '$b' || lab_done
lab_check "kernel TLS made the records on a" kernel_tls a Tx 2
lab_check "kernel TLS opened them on b" kernel_tls b Rx 2
lab_check "the guest is whole on b" whole b
lab_check "a has no kernel TLS any more, and receives again" eval \
	"lab_do a 'stop receive && wait_for 20 busybox rmmod tls' && keyed_receiver a"
lab_check "the guest moves back with --encrypt" encrypted b '$a' || lab_done
lab_check "kernel TLS made the records on b" kernel_tls b Tx 4
lab_check "user space opened them on a" kernel_tls a Rx 0
lab_check "the guest is whole on a" whole a
lab_check "and once more to b" encrypted a '$b' || lab_done
lab_check "user space made the records on a" kernel_tls a Tx 0
lab_check "kernel TLS opened them on b" kernel_tls b Rx 6
lab_check "the guest is whole on b" whole b
lab_done
