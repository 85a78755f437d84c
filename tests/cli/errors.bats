#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bad values: one sentence that quotes them, exit 1, nothing left behind. Needs no KVM.

load helper

teardown() {
	# whatever failed, it failed before it made anything
	[ ! -e "$WATARI_RUNTIME_DIR" ] || [ -z "$(ls -A "$WATARI_RUNTIME_DIR")" ]
}

@test "run: a bad name" {
	echo x >k
	fails 1 "a/b" "$W" run --kernel k --name a/b
	fails 1 "name" "$W" run --kernel k --name ""
	fails 1 "name" "$W" run --kernel k --name .hidden
	fails 1 "64" "$W" run --kernel k --name "$(printf 'n%.0s' {1..64})"
}

@test "run: memory that makes no sense" {
	echo x >k
	fails 1 "memory" "$W" run --kernel k --name x --memory 0
	fails 1 "'lots'" "$W" run --kernel k --name x --memory lots
	fails 1 "-5" "$W" run --kernel k --name x --memory=-5
	fails 1 "memory" "$W" run --kernel k --name x --memory 1M
	fails 1 "99999999T" "$W" run --kernel k --name x --memory 99999999T
	fails 1 "memory" "$W" run --kernel k --name x --memory 999T
	fails 1 "3M" "$W" run --kernel k --name x --memory 1G,hugepages=3M
	fails 1 "maybe" "$W" run --kernel k --name x --memory size=1G,thp=maybe
	fails 1 "'fast'" "$W" run --kernel k --name x --memory 1G,fast=on
	fails 1 "nr_hugepages" "$W" run --kernel k --name x --memory 15T,hugepages=2M
	fails 1 "numa=63" "$W" run --kernel k --name x --memory 1G,numa=63
	# more than any host has, with the figures
	fails 1 "TiB" "$W" run --kernel k --name x --memory 15T
}

@test "run: CPUs that make no sense" {
	echo x >k
	fails 1 "'0'" "$W" run --kernel k --name x --cpus 0
	fails 1 "'255'" "$W" run --kernel k --name x --cpus 255
	fails 1 "'two'" "$W" run --kernel k --name x --cpus two
}

@test "run: a kernel or initrd that cannot be read" {
	echo x >k
	: >empty
	fails 1 "none/there" "$W" run --name x --kernel none/there
	fails 1 "is not a file" "$W" run --name x --kernel /
	fails 1 "empty" "$W" run --name x --kernel empty
	fails 1 "none/there" "$W" run --name x --kernel k --initrd none/there
	fails 1 "is not a file" "$W" run --name x --kernel k --initrd /
	mkfifo pipe
	fails 1 "is not a file" "$W" run --name x --kernel pipe
}

@test "run: other values" {
	echo x >k
	fails 1 "'loud'" "$W" run --name x --kernel k --serial loud
	fails 1 "'guess'" "$W" run --name x --kernel k --dirty-tracking guess
	fails 1 "append" "$W" run --name x --kernel k --append "$(printf 'a%.0s' {1..3000})"
}

@test "migrate, receive: wishes about RDMA" {
	long=$(printf 'd%.0s' {1..80})
	fails 1 "'tight'" "$W" migrate x --to 127.0.0.1:1 --rdma-pin tight
	fails 1 "auto, all, chunk, odp" "$W" receive --listen 127.0.0.1:0 --rdma-pin tight
	fails 1 "too long" "$W" migrate x --to 127.0.0.1:1 --rdma-device "$long"
	fails 1 "too long" "$W" receive --listen 127.0.0.1:0 --rdma-device "$long"
}

@test "receive: addresses" {
	fails 1 "'nowhere:'" "$W" receive --listen nowhere:
	fails 1 "'127.0.0.1:70000'" "$W" receive --listen 127.0.0.1:70000
	fails 1 "::1:4000" "$W" receive --listen ::1:4000
	fails 1 "no.such.host.invalid" "$W" receive --listen no.such.host.invalid:1 --trust-network
	fails 1 "192.0.2.1" "$W" receive --listen 192.0.2.1:0 --trust-network
	fails 1 "'loud'" "$W" receive --listen 0 --serial loud
	fails 1 "'guess'" "$W" receive --listen 0 --dirty-tracking guess
}

@test "receive: a network address needs --trust-network, and the error says why" {
	for a in 0.0.0.0:0 192.0.2.1:0 '[::]:0' '[2001:db8::1]:0'; do
		fails 1 "--trust-network" "$W" receive --listen "$a"
		[[ $stderr == *"not authenticated"* ]]
	done
}

@test "migrate: bad values, before the guest is asked" {
	fails 1 "'over there'" "$W" migrate x --to "over there"
	fails 1 "'host:0'" "$W" migrate x --to host:0
	fails 1 ":5" "$W" migrate x --to :5
	fails 1 "there is: auto, " "$W" migrate x --to host:1 --transport pigeon
	fails 1 "'soon'" "$W" migrate x --to host:1 --downtime-limit soon
	fails 1 "'0ms'" "$W" migrate x --to host:1 --downtime-limit 0ms
	fails 1 "'17'" "$W" migrate x --to host:1 --streams 17
	fails 1 "'few'" "$W" migrate x --to host:1 --streams few
	fails 1 "'cry'" "$W" migrate x --to host:1 --on-stall cry
	for phase in init copy quiesce frozen; do
		fails 1 "--$phase-timeout" "$W" migrate x --to host:1 "--$phase-timeout" soon
		fails 1 "'0'" "$W" migrate x --to host:1 "--$phase-timeout" 0
		fails 1 "30 days" "$W" migrate x --to host:1 "--$phase-timeout" 99999999s
		fails 1 "no guest named" "$W" migrate x --to host:1 "--$phase-timeout" none
	done
	fails 1 "--frozen-timeout 5.00 ms is less than --downtime-limit" \
		"$W" migrate x --to host:1 --frozen-timeout 5ms --downtime-limit 10ms
}

@test "a guest that is not there" {
	for c in cancel own status pause resume balloon kill; do
		fails 1 "no guest named 'bird'" "$W" "$c" bird
		fails 1 "no guest named 'bird'" "$W" "$c" bird --json
		fails 1 "../bird" "$W" "$c" ../bird
	done
	fails 1 "no guest named 'bird'" "$W" migrate bird --to 127.0.0.1:1
}

@test "a balloon of no size" {
	fails 1 "'much'" "$W" balloon bird much
	fails 1 "'-1'" "$W" balloon bird -- -1
	fails 2 "what is '3G'" "$W" balloon bird 2G 3G
	fails 2 "NAME is missing" "$W" balloon
}

@test "incoming does not start by hand without a connection" {
	fails 2 "--fd is missing" "$W" incoming
	fails 1 "descriptor" "$W" incoming --fd 77
	fails 1 "descriptor" "$W" incoming --fd 0
}
