#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The host's ends of a guest's nets, in a network namespace of the test: there while the guest is,
# made at the target before a move, gone with the process however it ends.

load helper

# The namespace lives as long as this process; every watari of the test runs in it.
setup_file() {
	command -v nsenter >/dev/null && unshare -n true 2>/dev/null ||
		skip "no network namespace may be made here (root)"
	[ -r /dev/net/tun ] || skip "/dev/net/tun is missing"
}

# The helper's teardown waits for every child: this one goes first.
eval "of_helper_$(declare -f teardown)"
teardown() {
	[ -z "${NS:-}" ] || kill $NS 2>/dev/null || true
	of_helper_teardown
}

namespace() {
	unshare -n sleep 300 >/dev/null 2>&1 3>&- &
	NS=$!
	until_ok 5 ns ip link add br0 type bridge
	# With loopback alone, names and addresses are not resolved (AI_ADDRCONFIG).
	ns ip address add 10.78.0.1/24 dev br0
	ns ip link set br0 up
	ns ip link set lo up
	printf '#!/bin/sh\nexec nsenter -t %s -n -- %s "$@"\n' $NS "$W" >watari && chmod 755 watari
	W=$PWD/watari
}

# Only once the child has left our namespace: no interface of this host is ever touched.
ns() {
	[ "$(readlink /proc/$NS/ns/net)" != "$(readlink /proc/self/ns/net)" ] && nsenter -t $NS -n -- "$@"
}

ports() {
	ns ip -o link show master br0 | wc -l
}

@test "a tap is on its bridge while the guest lives, moves with it, and goes with a killed process" {
	namespace
	start A bird --memory 256M --net lan,bridge=br0 --net out,bridge=br0,tap=perch,queues=2
	[ "$(ports)" = 2 ]
	ns ip link show perch | grep -q UP
	on A kill bird
	until_ok 10 no_port
	start A bird --memory 256M --net lan,bridge=br0
	receiver B
	on A migrate bird --to 127.0.0.1:$PORT --downtime-limit 300ms
	lives B bird
	until_ok 10 one_port
	kill -9 "$(field B bird pid)"
	until_ok 10 no_port
}

one_port() {
	[ "$(ports)" = 1 ]
}

no_port() {
	[ "$(ports)" = 0 ]
}

@test "what cannot be had is said with net, cause and way out; a move that would need it does not begin" {
	namespace
	run on A run --name bird --kernel guest.elf --serial none --net lan,bridge=br9
	[ "$status" -eq 1 ]
	[[ $output == *"net 'lan': bridge 'br9' does not exist on this host: make it with"* ]]
	run on A run --name bird --kernel guest.elf --serial none --net lan
	[ "$status" -eq 1 ]
	[[ $output == *"net 'lan': neither a tap nor a bridge is named"* ]]
	ns ip tuntap add dev perch mode tap
	start A bird --memory 256M --net lan,tap=perch
	receiver B
	run on A migrate bird --to 127.0.0.1:$PORT
	[ "$status" -eq 1 ]
	[[ $output == *"tap 'perch' is used by another process"* ]]
	lives A bird
	on A kill bird
	ns ip link show perch
}

@test "a guest without a driver for its balloon says so" {
	start A bird --memory 256M
	run on A balloon bird 128M
	[ "$status" -eq 1 ]
	[[ $output == *"load virtio_balloon there"* ]]
	run on A balloon bird 1M
	[[ $output == *"64 MiB or more"* ]]
	[[ $(on A balloon bird) == *"no driver"* ]]
	[[ $(on A balloon bird --json) == *'"active":false'* ]]
}
