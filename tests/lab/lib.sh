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
lab_modules='virtio_pci 9pnet_virtio 9p overlay virtio_net kvm_amd'

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
	host=$(lab_kernel amd64) && guest=$(lab_kernel cloud-amd64) || exit 1
	lab_host_kernel=$(echo "$host"/boot/vmlinuz-*)
	lab_guest_kernel=$(echo "$guest"/boot/vmlinuz-*)
	lab_host_initrd=$lab_dir/host.cpio.gz
	lab_guest_initrd=$lab_dir/guest.cpio.gz
	lab_prepare_host "$host"
	lab_prepare_guest
}

lab_prepare_host() {
	local package=$1 tree=$lab_dir/host-tree version module
	version=$(basename "$package"/lib/modules/*)
	local PATH=$PATH:/sbin:/usr/sbin
	[ -e "$package/lib/modules/$version/modules.dep" ] || depmod -b "$package" "$version" ||
		lab_die "depmod failed"
	lab_tree "$tree" "$lab_tests/host-init"
	mkdir "$tree/modules"
	for module in $lab_modules; do
		modprobe --show-depends -d "$package" -S "$version" "$module" ||
			lab_die "no module $module in $package"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$tree/modules.list"
	while read -r module; do
		cp "$module" "$tree/modules/" && echo "/modules/${module##*/}"
	done <"$tree/modules.list" >"$tree/modules/order"
	lab_initrd "$tree" "$lab_host_initrd" || lab_die "cannot pack $tree"
}

lab_prepare_guest() {
	local tree=$lab_dir/guest-tree
	lab_tree "$tree" "$lab_tests/guest-init"
	gcc -O2 -Wall -static -pthread -o "$tree/bin/tick" "$lab_tests/tick.c" ||
		lab_die "cannot build tick"
	lab_initrd "$tree" "$lab_guest_initrd" || lab_die "cannot pack $tree"
}

# lab_host_start NAME [--memory SIZE] [--cpus N] [--nic NETDEV]... [--console CHARDEV]
# Starts an emulated host that runs $lab_dir/run/NAME/script. Sets lab_host_pid. NETDEV and CHARDEV
# are values of QEMU's -netdev and -chardev without the id, e.g. socket,listen=127.0.0.1:PORT.
lab_host_start() {
	local name=$1 memory=2G cpus=2 nics=() n=0
	local dir=$lab_dir/run/$name
	local console=file,path=$dir/console
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--memory) memory=$2 ;;
		--cpus) cpus=$2 ;;
		--console) console=$2 ;;
		--nic)
			nics+=(-netdev "$2,id=net$n" -device "virtio-net-pci,netdev=net$n,romfile=")
			n=$((n + 1))
			;;
		*) lab_die "lab_host_start: $1?" ;;
		esac
		shift 2
	done
	# No XSAVE: the emulator does not let KVM intercept XSETBV, so KVM and its guest would disagree
	# about XCR0 ("XSAVE consistency problem" in the guest's log).
	mkdir -p "$dir" && echo "$name" >"$dir/name" && rm -f "$dir/status" || exit 1
	qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-xsave -M q35 -m "$memory" -smp "$cpus" \
		-nodefaults -no-user-config -display none -no-reboot \
		-chardev "$console,id=console" -serial chardev:console \
		-kernel "$lab_host_kernel" -initrd "$lab_host_initrd" \
		-append "console=ttyS0 quiet panic=-1 tsc=reliable" \
		-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
		-virtfs "local,path=$dir,mount_tag=out,security_model=none" \
		"${nics[@]}" <&0 2>"$dir/emulator" &
	lab_host_pid=$!
}

# lab_host_wait NAME PID SECONDS: until the host powered off. Succeeds if its script did.
lab_host_wait() {
	local dir=$lab_dir/run/$1 pid=$2 watchdog
	# The watchdog ends the host and nothing else; it is ended itself when the host is gone.
	(exec >/dev/null 2>&1; sleep "$3" & trap 'kill $!; exit' TERM; wait $!; kill -KILL "$pid") &
	watchdog=$!
	wait "$pid" 2>/dev/null
	kill "$watchdog" 2>/dev/null
	wait "$watchdog" 2>/dev/null
	[ -e "$dir/status" ] && [ "$(cat "$dir/status")" = 0 ]
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
