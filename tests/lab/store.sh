# SPDX-License-Identifier: Apache-2.0
#
# Shared storage for a pair of emulated hosts: an NFSv4.2 server on this machine, nfs-ganesha, which both mount
# as /store. For a test in a network namespace of its own (lab_store_netns): the server listens on the bridge
# `store` in there and nowhere else. The migration LAN is a second bridge, `wire`, so that either can be cut alone.
# Must never leave the server behind, nor write outside the run's folder.
# Invariant: what the server keeps for one lease, a host that is gone keeps for one lease: $lab_lease seconds.
# Next in the flow: tests/lab/host-init mounts it; tests/lab/nfs.t and tests/lab/faults-nfs use it.
# Why this server: docs/decisions/0059-nfs-in-the-lab.md.
# shellcheck shell=bash

lab_lease=${LAB_LEASE:-15}
lab_store_pid=
lab_store_server=10.79.0.1
declare -A lab_store_address=([a]=10.79.0.2 [b]=10.79.0.3)

# lab_store_netns SCRIPT ARGUMENT...: begins the script again in namespaces of its own, if it is not in them: of
# networks, and of mounts, for what the server exports is in memory.
lab_store_netns() {
	[ "${LAB_NETNS:-}" != 1 ] || return 0
	LAB_NETNS=1 exec unshare --net --mount "$@"
}

# lab_store_up FOLDER: both bridges with a port for each host, and the server. What is stored is FOLDER/disk.
lab_store_up() {
	local dir=$1 host net
	[ -x /usr/bin/ganesha.nfsd ] || lab_die "ganesha.nfsd is missing: run tests/deps lab"
	lab_store=$dir/disk
	mkdir -p "$dir"/{disk,recovery} && mount -t tmpfs -o size=1G,mode=755 store "$dir/disk" || return 1
	ip link set lo up && ip link add wire mtu $lab_pair_mtu type bridge && ip link set wire up &&
		ip link add store type bridge && ip address add $lab_store_server/24 dev store &&
		ip link set store up || return 1
	for host in a b; do
		for net in wire store; do
			ip tuntap add $net-$host mode tap && ip link set $net-$host master $net up || return 1
		done
		ip link set wire-$host mtu $lab_pair_mtu || return 1
	done
	lab_store_conf "$dir" >"$dir/conf"
	/usr/bin/ganesha.nfsd -F -f "$dir/conf" -L "$dir/log" -p "$dir/pid" </dev/null >"$dir/said" 2>&1 &
	lab_store_pid=$!
	lab_wait 20 grep -q 'NFS SERVER INITIALIZED' "$dir/log" && kill -0 $lab_store_pid && return
	cat "$dir/said" "$dir/log"
	return 1
}

# No grace period at its start: nobody had a lock before. No delegations: they would only delay the other host.
lab_store_conf() {
	cat <<END
NFS_CORE_PARAM {
	Protocols = 4;
	Bind_addr = $lab_store_server;
	Enable_NLM = false;
	Enable_RQUOTA = false;
}
NFSV4 {
	Minor_Versions = 1, 2;
	Lease_Lifetime = $lab_lease;
	Grace_Period = $lab_lease;
	Graceless = true;
	Delegations = false;
	RecoveryBackend = fs;
	RecoveryRoot = $1/recovery;
}
NFS_KRB5 { Active_krb5 = false; }
EXPORT {
	Export_Id = 1;
	Path = $1/disk;
	Pseudo = /store;
	Access_Type = RW;
	Squash = No_Root_Squash;
	SecType = sys;
	Protocols = 4;
	Transports = TCP;
	FSAL { Name = VFS; }
}
END
}

# lab_store_down: the server ends, and what it stored is gone with the namespace.
lab_store_down() {
	[ -z "$lab_store_pid" ] || { kill "$lab_store_pid" && wait "$lab_store_pid"; } 2>/dev/null
	lab_store_pid=
	[ -z "${lab_store:-}" ] || umount "$lab_store" 2>/dev/null
}

# lab_store_options HOST: for lab_pair_power_on, sets `more`.
lab_store_options() {
	local tap=script=no,downscript=no
	echo "$lab_store_server ${lab_store_address[$1]}" >"$lab_pair/$1/store"
	more=(--nic "tap,ifname=wire-$1,$tap" --network "eth0 ${lab_pair_address[$1]}/24 $lab_pair_mtu"
		--nic "tap,ifname=store-$1,$tap" --network "eth1 ${lab_store_address[$1]}/24 1500")
}
