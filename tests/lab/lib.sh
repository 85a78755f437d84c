# SPDX-License-Identifier: Apache-2.0
#
# The lab's parts, for the tests in this folder to source: kernels from Debian packages, the two
# initial file systems, and emulated hosts with /dev/kvm inside.
# Never installs a kernel, and writes under $O/lab only. A host is ended by its process id.
# Invariant: whatever goes wrong in a host is in its folder: console, output, errors, status.
# Next in the flow: tests/lab/host-init, the first program that runs in an emulated host.
# shellcheck shell=bash

lab_tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_root=$(cd "$lab_tests/../.." && pwd)
lab_dir=$(mkdir -p "${O:-$lab_root/build}/lab" && cd "${O:-$lab_root/build}/lab" && pwd)
lab_watari=${WATARI:-$lab_dir/../watari}

# What an emulated host loads, in this order, with what each depends on.
# rdma_rxe needs the crc32 hash, and does not say so: crc32_generic goes before it. Nor does tls say so of its cipher.
lab_modules='virtio_pci 9pnet_virtio 9p overlay virtio_net virtio_blk kvm_amd crc32_generic crc32c_generic
	rdma_rxe ib_uverbs rdma_ucm veth bridge tun aesni_intel ctr ghash_generic gcm tls'
# ... and one that has shared storage, beside these.
lab_store_modules='nfsv4'
# ... and a Linux guest: what finds its devices.
lab_guest_modules='virtio_pci virtio_rng virtio_console button evdev pvpanic-mmio'

lab_die() {
	echo "lab: $*" >&2
	exit 1
}

# lab_kernel amd64|cloud-amd64: prints the folder of the unpacked kernel package, which has
# boot/vmlinuz-* and lib/modules/*. Downloads it once.
lab_kernel() {
	local flavour=$1 package dir found
	found=$(ls -d "$lab_dir"/cache/linux-image-[0-9]*-"$flavour" 2>/dev/null |
		grep "[0-9]-$flavour\$" | tail -n 1)
	if [ -n "$found" ]; then
		echo "$found"
		return
	fi
	package=$(lab_package "$flavour")
	if [ -z "$package" ]; then
		apt-get update >/dev/null 2>&1
		package=$(lab_package "$flavour")
	fi
	[ -n "$package" ] || lab_die "no package linux-image-$flavour is known here: run apt-get update"
	dir=$lab_dir/cache/$package
	rm -rf "$dir.part" && mkdir -p "$dir.part" || exit 1
	lab_download "$package" "$dir.part" ||
		{ apt-get update >/dev/null 2>&1 && lab_download "$package" "$dir.part"; } ||
		lab_die "cannot download $package"
	dpkg -x "$dir.part"/*.deb "$dir.part" && rm "$dir.part"/*.deb && mv "$dir.part" "$dir" ||
		lab_die "cannot unpack $package"
	echo "$dir"
}

# The concrete package that linux-image-FLAVOUR stands for now.
lab_package() {
	apt-cache depends "linux-image-$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

lab_download() {
	(cd "$2" && apt-get -o APT::Sandbox::User=root download "$1" >/dev/null 2>&1)
}

# lab_initrd TREE FILE: packs a tree.
lab_initrd() {
	(cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$2.part" && mv "$2.part" "$2"
}

# A tree with busybox and all its names in /bin, and this file as /init.
lab_tree() {
	local tree=$1 init=$2
	rm -rf "$tree"
	mkdir -p "$tree"/{bin,dev,proc,sys,tmp} || exit 1
	cp "$(command -v busybox)" "$tree/bin/busybox" && cp "$init" "$tree/init" &&
		chmod 755 "$tree/init" || lab_die "cannot make $tree"
	"$tree/bin/busybox" --list | while read -r name; do
		[ "$name" = busybox ] || ln -sf busybox "$tree/bin/$name"
	done
}

# lab_prepare: kernels and initial file systems. Sets lab_host_kernel, lab_host_initrd,
# lab_guest_kernel, lab_guest_initrd.
lab_prepare() {
	local host guest
	for tool in qemu-system-x86_64 busybox cpio modprobe gcc; do
		PATH=$PATH:/sbin:/usr/sbin command -v $tool >/dev/null ||
			lab_die "$tool is missing: run tests/deps lab"
	done
	# Tests run beside each other, and this is for all of them. What a host starts from is replaced as
	# a whole, never changed.
	local lock
	exec {lock}>"$lab_dir/lock" && flock "$lock" || lab_die "cannot lock $lab_dir/lock"
	host=$(lab_kernel amd64) && guest=$(lab_kernel cloud-amd64) || exit 1
	lab_host_kernel=$(echo "$host"/boot/vmlinuz-*)
	lab_guest_kernel=$(echo "$guest"/boot/vmlinuz-*)
	lab_host_initrd=$lab_dir/host.cpio.gz
	lab_guest_initrd=$lab_dir/guest.cpio.gz
	lab_prepare_host "$host"
	lab_prepare_guest "$guest"
	exec {lock}>&-
}

# lab_modules_into PACKAGE TREE ORDER MODULE...: copies them with what they depend on to TREE/modules, and
# the order to load them in to TREE/modules/ORDER.
lab_modules_into() {
	local package=$1 tree=$2 order=$3 version module
	shift 3
	version=$(basename "$package"/lib/modules/*)
	local PATH=$PATH:/sbin:/usr/sbin
	[ -e "$package/lib/modules/$version/modules.dep" ] || depmod -b "$package" "$version" ||
		lab_die "depmod failed"
	mkdir -p "$tree/modules"
	for module in "$@"; do
		modprobe --show-depends -d "$package" -S "$version" "$module" ||
			lab_die "no module $module in $package"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tree/modules.list"
	while read -r module; do
		cp "$module" "$tree/modules/" && echo "/modules/${module##*/}"
	done <"$tree/modules.list" >"$tree/modules/$order"
}

lab_prepare_host() {
	local package=$1 tree=$lab_dir/host-tree
	lab_tree "$tree" "$lab_tests/host-init"
	lab_modules_into "$package" "$tree" order $lab_modules
	lab_modules_into "$package" "$tree" order.store $lab_store_modules
	lab_initrd "$tree" "$lab_host_initrd" || lab_die "cannot pack $tree"
}

lab_prepare_guest() {
	local tree=$lab_dir/guest-tree
	lab_tree "$tree" "$lab_tests/guest-init"
	lab_modules_into "$1" "$tree" order $lab_guest_modules
	gcc -O2 -Wall -static -pthread -o "$tree/bin/tick" "$lab_tests/tick.c" ||
		lab_die "cannot build tick"
	lab_initrd "$tree" "$lab_guest_initrd" || lab_die "cannot pack $tree"
	gcc -O2 -Wall -I"$lab_root" -o "$lab_dir/bench-check" "$lab_tests/bench-check.c" ||
		lab_die "cannot build bench-check"
	gcc -O2 -Wall -o "$lab_dir/tsc" "$lab_tests/tsc.c" || lab_die "cannot build tsc"
}

# lab_host_start NAME [--memory SIZE] [--cpus N] [--nic NETDEV]... [--network LINE]...
#                [--share FOLDER] [--disk FILE] [--agent] [--console CHARDEV] [--clock instructions]
# Starts an emulated host that runs $lab_dir/run/NAME/script. Sets lab_host_pid. NETDEV and CHARDEV
# are values of QEMU's -netdev and -chardev without the id; a path in them begins in the host's
# folder. LINE is "INTERFACE ADDRESS/PREFIX MTU [RXE]": how the host sets up an interface, and the
# soft-RoCE device to put on it; "INTERFACE bridge:NAME MTU" makes it a port of a bridge of the host.
# FOLDER is the host's /pair. FILE is its /dev/vda, which several hosts may have at once. --agent: its script is tests/lab/agent.
# --clock instructions: its time is 2 ns for each of its instructions, and none while it is idle: how
# crowded the machine is does not show in it, nor does what an instruction costs the emulator.
lab_host_start() {
	local name=$1 memory=2G cpus=1 more=() n=0 dir=$lab_dir/run/$1
	local console=file,path=$dir/console mac accel=tcg,thread=multi
	shift
	mkdir -p "$dir" && echo "$name" >"$dir/name" && rm -f "$dir"/{status,ready,network,alive,monitor} || exit 1
	while [ $# -gt 0 ]; do
		case $1 in
		--memory) memory=$2 ;;
		--cpus) cpus=$2 ;;
		--console) console=$2 ;;
		--clock)
			[ "$2" = instructions ] || lab_die "lab_host_start: --clock $2?"
			accel=tcg,thread=single more+=(-icount shift=1,sleep=off)
			;;
		--network) echo "$2" >>"$dir/network" ;;
		--share) more+=(-virtfs "local,path=$2,mount_tag=pair,security_model=none") ;;
		--disk)
			# Both ends of a move have it open, as with a disk on a network of storage.
			more+=(-drive "file=$2,if=none,id=disk,format=raw,file.locking=off"
				-device virtio-blk-pci,drive=disk,share-rw=on)
			;;
		--agent)
			cp "$lab_tests/agent" "$dir/script" && rm -rf "$dir/ring.in" "$dir/do" &&
				mkfifo "$dir/ring.in" && : >"$dir/ring.out" || exit 1
			more+=(-chardev pipe,path=ring,id=ring -serial chardev:ring)
			set -- "$1" "$@"
			;;
		--nic)
			# Two hosts on one wire must not have one address.
			mac=$(printf '%s %d' "$name" $n | md5sum | sed 's/^\(..\)\(..\)\(..\)\(..\).*/52:54:\1:\2:\3:\4/')
			more+=(-netdev "$2,id=net$n" -device "virtio-net-pci,netdev=net$n,mac=$mac,romfile=")
			n=$((n + 1))
			;;
		*) lab_die "lab_host_start: $1?" ;;
		esac
		shift 2
	done
	local without_xsave=-xsave,-avx,-avx2,-f16c,-fma,-vaes,-vpclmulqdq
	# No XSAVE: the emulator does not let KVM intercept XSETBV, so KVM and its guest would disagree
	# about XCR0 ("XSAVE consistency problem" in the guest's log); and none of what needs it, for a guest's
	# aesni_intel takes AVX where it is offered and dies of it. No 5-level paging: it only makes the
	# emulator's nested walks longer. No check of the timer's interrupt: on a crowded machine the few ticks
	# it waits for come too late, and the host's kernel gives up. The TSC's rate is given, for two hosts that
	# measure it themselves then come to different ones, and no guest can move between them.
	(
		cd "$dir" && exec qemu-system-x86_64 -accel $accel -cpu "max,-la57,$without_xsave" -M q35 \
			-m "$memory" -smp "$cpus" -nodefaults -no-user-config -display none -no-reboot \
			-chardev "$console,id=console" -serial chardev:console \
			-kernel "$lab_host_kernel" -initrd "$lab_host_initrd" \
			-append "console=ttyS0 quiet panic=-1 tsc=reliable tsc_early_khz=$("$lab_dir/tsc") no_timer_check" \
			-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
			-virtfs "local,path=$dir,mount_tag=out,security_model=none" \
			-monitor unix:monitor,server=on,wait=off "${more[@]}" 2>emulator
	) <&0 &
	lab_host_pid=$!
}

# An emulated host notes every 2 s that it lives, by a process that goes before every other. Silent for so
# long, its kernel does not run any more: what runs in it is not to blame, nor can it go on.
lab_silence=${LAB_SILENCE:-120}

lab_host_silent() {
	[ -e "$1/alive" ] && [ $(($(date +%s) - $(stat -c %Y "$1/alive"))) -gt $lab_silence ]
}

# lab_host_look DIR: what the emulator says of its processor.
lab_host_look() {
	perl -MIO::Socket::UNIX -e '$SIG{ALRM} = sub { exit }; alarm 5;
		chdir $ARGV[0]; my $m = IO::Socket::UNIX->new("monitor") or exit;
		for my $ask ("info registers", "info cpus", "info pic") { print $m "$ask\n"; }
		while (<$m>) { s/\e\[.|\r//g; print }' "$1" | grep -E '^(RIP|RAX|CR|EFER|CS|irr|isr|lapic|ioapic|\* *CPU)' | head -n 20
}

# lab_host_watch DIR PID SECONDS: ends the host, and nothing else, when its time is over or it stands still;
# of the latter DIR/stood tells.
lab_host_watch() {
	local end=$((SECONDS + $3))
	while [ $SECONDS -lt $end ]; do
		sleep 5
		lab_host_silent "$1" || continue
		{ echo "silent for $lab_silence s; its processor:"; lab_host_look "$1"; sleep 1; lab_host_look "$1"; } >"$1/stood"
		break
	done
	kill -KILL "$2"
}

# lab_host_wait NAME PID SECONDS: until the host powered off. Succeeds if its script did.
lab_host_wait() {
	local dir=$lab_dir/run/$1 pid=$2 watchdog
	# The watchdog is ended itself when the host is gone.
	(exec >/dev/null 2>&1; trap 'kill $!; exit' TERM; lab_host_watch "$dir" "$pid" "$3" & wait $!) &
	watchdog=$!
	wait "$pid" 2>/dev/null
	kill "$watchdog" 2>/dev/null
	wait "$watchdog" 2>/dev/null
	[ -e "$dir/status" ] && [ "$(cat "$dir/status")" = 0 ]
}

# lab_host_run NAME SECONDS [options of lab_host_start]: a host from its start to its end, in $lab_dir/run/NAME,
# which holds its script. If the emulated kernel stands still, that is told and it is begun once more.
lab_host_run() {
	local name=$1 limit=$2 dir=$lab_dir/run/$1 try
	shift 2
	rm -rf "$dir.new" && cp -r "$dir" "$dir.new" || exit 1
	trap 'kill -KILL $lab_host_pid 2>/dev/null' EXIT
	for try in 1 2; do
		lab_host_start "$name" "$@"
		lab_host_wait "$name" "$lab_host_pid" "$limit" && break
		lab_host_explain "$name"
		[ $try = 1 ] && [ -e "$dir/stood" ] || break
		echo "# host $name stood still, and is started once more: $(cat "$dir/stood")" | sed '2,$s/^/#    /'
		rm -rf "$dir" && cp -r "$dir.new" "$dir" || exit 1
	done
	trap - EXIT
	rm -rf "$dir.new"
}

# lab_host_explain NAME: what the host left behind, as TAP comments.
lab_host_explain() {
	local dir=$lab_dir/run/$1 file
	[ -e "$dir/status" ] || echo "# host $1 did not finish its script"
	for file in "$dir"/{emulator,console,errors,output} "$dir"/*.errors; do
		[ -s "$file" ] || continue
		echo "# -- $file"
		tail -n 30 "$file" | tr -d '\r' | sed 's/^/#    /'
	done
}

# ---- two hosts on one wire -----------------------------------------------------------------------

# The hosts a and b of a pair: their addresses on the migration LAN, which is their eth0.
lab_pair=
declare -A lab_pair_address=([a]=10.77.0.1 [b]=10.77.0.2) lab_pair_pid=()
# RoCE v2 packets of 4096 bytes and their headers fit it.
lab_pair_mtu=4200

# lab_pair_start NAME [--lan] [--store] [options of lab_host_start for both]: hosts a and b, eth0 of each
# at the end of one wire, soft-RoCE device rxe0 on it. $lab_pair is the folder of the run: both hosts see it
# as /pair, and each its a or b as /lab. --lan: eth1 of each is a port of its bridge br0, and the tap
# lan-a or lan-b of lab_lan_up outside. --store: eth0 and eth1 are ports of the bridges of lab_store_up
# (tests/lab/store.sh), the LAN would be eth2.
lab_pair_start() {
	local host end
	lab_pair=$lab_dir/run/$1 lab_pair_name=$1 lab_pair_lan='' lab_pair_store=''
	shift
	while :; do
		case ${1-} in
		--lan) lab_pair_lan=1 ;;
		--store) lab_pair_store=1 ;;
		*) break ;;
		esac
		shift
	done
	lab_pair_options=("$@")
	rm -rf "$lab_pair" && mkdir -p "$lab_pair"/{a,b} || exit 1
	for host in a b; do
		lab_pair_power_on $host
		[ -z "$lab_pair_store" ] || continue
		# The one that connects needs the one that listens.
		end=$((SECONDS + 20))
		until [ -S "$lab_pair/wire" ] || [ $SECONDS -ge $end ]; do sleep 0.05; done
	done
}

# lab_pair_power_on HOST: starts it. One that had lost its power is as it was before its first start, but for
# its /lab and what the storage has; with a wire between the emulators (no --store) its peer is cut off.
lab_pair_power_on() {
	local host=$1 more=()
	lab_settings >"$lab_pair/$host/settings"
	if [ -n "$lab_pair_store" ]; then
		lab_store_options "$host"
	else
		more=($(lab_pair_nic "$host") --network "$(lab_pair_network "$host")")
	fi
	[ -z "$lab_pair_lan" ] || more+=(--nic "tap,ifname=lan-$host,script=no,downscript=no"
		--network "eth$((${lab_pair_store:-0} + 1)) bridge:br0 1500")
	lab_host_start "$lab_pair_name/$host" --agent --share "$lab_pair" "${more[@]}" "${lab_pair_options[@]}" \
		</dev/null
	lab_pair_pid[$host]=$lab_host_pid
}

# lab_lan_up: the guests' LAN, for a test in a network namespace of its own: a bridge with a port for
# each host. What runs in the namespace is the world outside, 10.78.0.1.
lab_lan_up() {
	local host
	ip link set lo up && ip link add lan type bridge && ip address add 10.78.0.1/24 dev lan &&
		ip link set lan up || return 1
	for host in a b; do
		ip tuntap add "lan-$host" mode tap && ip link set "lan-$host" master lan up || return 1
	done
}

# lab_pair_up: waits until both hosts take commands; fails if one does not come up in 300 s.
lab_pair_up() {
	local host end=$((SECONDS + 300))
	for host in a b; do
		until [ -e "$lab_pair/$host/ready" ]; do
			lab_pair_alive $host && [ $SECONDS -lt $end ] || return 1
			sleep 0.1
		done
	done
}

# The ends of the wire, as options of lab_host_start.
lab_pair_nic() {
	local wire=stream,addr.type=unix,addr.path=../wire
	[ "$1" = b ] || wire+=,server=on
	echo "--nic $wire"
}
lab_pair_network() {
	echo "eth0 ${lab_pair_address[$1]}/24 $lab_pair_mtu rxe0"
}

# What a script in a host finds in /lab/settings.
lab_settings() {
	cat <<END
watari=$(realpath "$lab_watari")
root=$lab_root
tests=$lab_tests
build=$(realpath "$lab_dir/..")
kernel=$lab_guest_kernel
initrd=$lab_guest_initrd
a=${lab_pair_address[a]}
b=${lab_pair_address[b]}
END
}

lab_pair_alive() {
	kill -0 "${lab_pair_pid[$1]}" 2>/dev/null
}

# lab_do HOST TEXT: runs TEXT as a bash script in host a or b, with tests/lab/inside.sh. Its output is
# this command's output, its exit status this command's; 255: the host is gone. May be used in the
# background: commands run beside each other.
lab_do() {
	local dir=$lab_pair/$1 id
	id=$(mktemp "$dir/do/XXXXXX") && id=${id##*/} || return 255
	printf '. %q\n%s\n' "$lab_tests/inside.sh" "$2" >"$dir/do/$id"
	lab_pair_alive "$1" || return 255
	echo "$id" 1<>"$dir/ring.in"
	until [ -e "$dir/do/$id.status" ]; do
		lab_pair_alive "$1" || break
		sleep 0.05
	done
	cat "$dir/do/$id.out" 2>/dev/null
	cat "$dir/do/$id.errors" >&2 2>/dev/null
	[ -e "$dir/do/$id.status" ] || return 255
	return "$(cat "$dir/do/$id.status")"
}

# lab_pair_end: powers both hosts off, by force if they do not within 20 s. For a trap, too: <> does
# not wait for a reader, which a host that has died is not.
lab_pair_end() {
	local host end=$((SECONDS + 20))
	for host in "${!lab_pair_pid[@]}"; do
		lab_pair_alive $host && [ -e "$lab_pair/$host/ready" ] && echo end 1<>"$lab_pair/$host/ring.in"
	done
	for host in "${!lab_pair_pid[@]}"; do
		while [ -e "$lab_pair/$host/ready" ] && lab_pair_alive $host && [ $SECONDS -lt $end ]; do
			sleep 0.1
		done
		kill -KILL "${lab_pair_pid[$host]}" 2>/dev/null
		wait "${lab_pair_pid[$host]}" 2>/dev/null
	done
	lab_pair_pid=()
}

# lab_pair_explain: what both hosts left behind, as TAP comments.
lab_pair_explain() {
	local host file
	for host in a b; do
		for file in "$lab_pair/$host"/{emulator,console} "$lab_pair/$host"/*.errors; do
			[ -s "$file" ] || continue
			echo "# -- $file"
			tail -n 30 "$file" | tr -d '\r' | sed 's/^/#    /'
		done
	done
}

# lab_wait SECONDS COMMAND...: until the command succeeds.
lab_wait() {
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# ---- TAP -----------------------------------------------------------------------------------------

lab_points=0 lab_failed=0

# lab_check NAME COMMAND...: a point that holds if the command succeeds. What it printed follows as
# comments if it failed, and with LAB_VERBOSE=1 always.
lab_check() {
	local name=$1 said rc
	shift
	said=$(mktemp) || exit 1
	"$@" >"$said" 2>&1
	rc=$?
	lab_points=$((lab_points + 1))
	if [ $rc = 0 ]; then
		echo "ok $lab_points - $name"
	else
		lab_failed=$((lab_failed + 1))
		echo "not ok $lab_points - $name"
	fi
	[ $rc = 0 ] && [ "${LAB_VERBOSE:-}" != 1 ] || tail -n 40 "$said" | tr -d '\r' | sed 's/^/#    /'
	rm -f "$said"
	return $rc
}

# lab_done: the plan, and the end of the test; what the hosts left behind if a point failed.
lab_done() {
	[ $lab_failed = 0 ] || lab_pair_explain
	echo "1..$lab_points"
	[ $lab_failed = 0 ]
	exit
}

# lab_judge FOLDER MOVES CPUS...: what tests/lab/judge says of Linux guests, as points of this test.
lab_judge() {
	local line
	while IFS= read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			lab_points=$((lab_points + 1))
			[ "${line%% *}" = ok ] || lab_failed=$((lab_failed + 1))
			echo "${line%% [0-9]*} $lab_points - ${line#* - }"
			;;
		1..*) ;;
		*) echo "$line" ;;
		esac
	done < <("$lab_tests/judge" --moves-only "$@")
}
