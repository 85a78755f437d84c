#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Definitions in files: what is shown reads back the same, options override, mistakes have a line.

load helper

guest_ini() {
	printf '[guest]\nname = bird\nkernel = vmlinuz\nappend = quiet ; x\n[disk root]\npath = root.img\n[net lan]\n' >bird.ini
}

@test "show prints every default, and what it prints reads back the same" {
	guest_ini
	"$W" show bird.ini >one.ini
	"$W" show one.ini >two.ini
	diff one.ini two.ini
	grep -qx 'cpus = 1' one.ini
	grep -qx "kernel = $PWD/vmlinuz" one.ini
	grep -qx 'append = quiet ; x' one.ini
	grep -qx "path = $PWD/root.img" one.ini
	grep -qx 'readonly = off' one.ini
	grep -qxE 'mac = 02(:[0-9a-f]{2}){5}' one.ini
	[ "$("$W" show bird.ini --json | perl -MJSON::PP -0777 -ne \
		'print decode_json($_)->{disk}{root}{queues}')" = 1 ]
}

@test "a mistake is named with file and line" {
	guest_ini
	echo 'speed = 9' >>bird.ini
	fails 1 "bird.ini:8: unknown key 'speed': a net has tap, bridge, mac, queues" "$W" show bird.ini
	fails 1 "bird.ini:8: unknown key" "$W" run ./bird.ini
	printf '[guest]\nname = a\nname = b\n' >twice.ini
	fails 1 "twice.ini:3: Duplicate key" "$W" run twice.ini
	printf '[guest]\nname = a\n' >bare.ini
	fails 1 "bare.ini: no kernel is given" "$W" show bare.ini
	fails 1 "cannot read no.ini" "$W" run no.ini
}

@test "a name that nobody knows" {
	fails 1 "no guest 'heron' lives here" "$W" show heron
	fails 1 "keeps no definition of guest 'heron'" "$W" run heron
}

@test "options override the file, disk by disk and key by key" {
	guest_ini
	fails 1 "cannot read the kernel $PWD/vmlinuz" "$W" run bird.ini
	fails 1 "cannot read the kernel $PWD/other" "$W" run bird.ini --kernel other
	fails 1 "guest's name 'a b'" "$W" run bird.ini --name "a b"
	fails 1 "vcpu-cpus '0-3-5': CPU '3-5'" "$W" run bird.ini --vcpu-cpus 0-3-5
	fails 1 "there is no vCPU 1: the guest has 1" "$W" run bird.ini --vcpu-cpus 1:0
	fails 1 "queues '0'" "$W" run bird.ini --disk root,queues=0
	fails 1 "--disk two is given twice" "$W" run bird.ini --disk two,path=/a --disk two,path=/b
	fails 1 "--disk two: 'what' is not KEY=VALUE" "$W" run bird.ini --disk two,what
	fails 1 "does not begin with the name" "$W" run bird.ini --disk path=/a
	fails 1 "disk 'two' has no path" "$W" run bird.ini --disk two,readonly=on
	fails 1 "--net lan: mac 'x'" "$W" run bird.ini --net lan,mac=x
	fails 1 "nets 'lan' and 'out' have the same tap" "$W" run bird.ini --net lan,tap=t --net out,tap=t
}

@test "a guest that has moved is not started, and the error says where it is" {
	guest_ini
	printf '[moved]\nto = 10.0.0.2:7000\nat = 2026-01-02T03:04:05Z\n' >>bird.ini
	fails 1 "guest bird moved to 10.0.0.2:7000 on 2026-01-02T03:04:05Z" "$W" run bird.ini
	fails 1 "cannot read the kernel" "$W" run bird.ini --force
	mkdir state
	"$W" show bird.ini >state/bird.ini
	grep -qx 'to = 10.0.0.2:7000' state/bird.ini
	# by whatever way the name is meant
	guest_ini
	fails 1 "guest bird moved to" "$W" run bird.ini
	fails 1 "guest bird moved to" "$W" run bird
	fails 1 "guest bird moved to" "$W" run --name bird --kernel vmlinuz
}
