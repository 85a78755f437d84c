#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where the threads of vCPUs run: as --vcpu-cpus says, of this host alone, and the others anywhere.

load helper

WORK="workset=4M rate=20000 fill=16M"

# ONE and OTHER: two CPUs that this process may use; MINE: all of them, as the kernel writes them.
two_cpus() {
	MINE=$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)
	read -r OTHER ONE < <(perl -e 'my @c = map { /(\d+)-(\d+)/ ? ($1 .. $2) : $_ } split /,/, shift;
		print "@c[0, -1]\n"' "$MINE")
	[ "$ONE" != "$OTHER" ] || skip "this process may use one CPU only"
}

# isolated CPU: whether this host keeps threads off it that do not name it.
isolated() {
	perl -e '$_ = <STDIN> // ""; my %c = map { $_ => 1 } map { /(\d+)-(\d+)/ ? ($1 .. $2) : /(\d+)/ }
		split /,/; exit !$c{$ARGV[0]}' "$1" </sys/devices/system/cpu/isolated
}

# cpus_of HOST NAME THREAD: what the kernel says of the thread of that name.
cpus_of() {
	local pid task
	pid=$(field "$1" "$2" pid)
	for task in /proc/"$pid"/task/*; do
		[ "$(cat "$task/comm")" != "$3" ] || sed -n 's/^Cpus_allowed_list:\t//p' "$task/status"
	done
}

@test "a vCPU's thread is where it was put before its first instruction, the other threads are not" {
	two_cpus
	start A bird --cpus 2 --memory 128M --append "$WORK cpus=2" --vcpu-cpus "$ONE"
	[ "$(cpus_of A bird vcpu0)" = "$ONE" ]
	[ "$(cpus_of A bird vcpu1)" = "$ONE" ]
	[ "$(cpus_of A bird watari)" = "$MINE" ]
	[ "$(cpus_of A bird rng)" = "$MINE" ]
	lives A bird
	WATARI_RUNTIME_DIR=$PWD/B "$W" run --name owl --kernel guest.elf --memory 64M --serial none \
		--paused --vcpu-cpus "0:$OTHER" >owl.log 2>&1 3>&- &
	until_ok 10 on B status owl
	[ "$(cpus_of B owl vcpu0)" = "$OTHER" ]
}

@test "status and show say it; each vCPU may have its own, and those not named run anywhere" {
	two_cpus
	start A bird --cpus 3 --memory 128M --append "$WORK cpus=2" \
		--vcpu-cpus "0:$ONE,1:$OTHER,$ONE"
	on A show bird | grep -qx "vcpu-cpus = 0:$ONE,1:$OTHER,$ONE"
	on A status bird --json >status.json
	perl -MJSON::PP -e '
		my ($pid, @want) = @ARGV;
		my @v = @{decode_json(do { local $/; <STDIN> })->{vcpus}};
		die scalar @v, " vCPUs\n" unless @v == 3;
		for (0 .. 2) {
			die "number\n" unless $v[$_]{vcpu} == $_;
			open my $f, "<", "/proc/$pid/task/$v[$_]{thread}/status" or die "thread\n";
			my %is = map { /(\w+):\t(.*)/ } <$f>;
			die "name $is{Name}\n" unless $is{Name} eq "vcpu$_";
			die "$v[$_]{host_cpus}\n" unless $v[$_]{host_cpus} eq $is{Cpus_allowed_list};
			die "vcpu$_ on $is{Cpus_allowed_list}\n" unless $is{Cpus_allowed_list} eq $want[$_];
		}
	' "$RUN" "$ONE" "$([ $((OTHER + 1)) -eq "$ONE" ] && echo "$OTHER-$ONE" || echo "$OTHER,$ONE")" \
		"$MINE" <status.json
	run on A status bird
	[[ $output =~ vcpu\ 0\ +thread\ [0-9]+\ on\ CPUs\ $ONE ]]
	lives A bird
}

@test "what this host has not, or this process may not use, is refused before the guest starts" {
	two_cpus
	local run=(on A run --name bird --kernel guest.elf --memory 64M --serial none)
	fails "vcpu-cpus '1023': this host has no CPU 1023 that is switched on, only" \
		"${run[@]}" --vcpu-cpus 1023
	fails "vcpu-cpus 'node:1023': " "${run[@]}" --vcpu-cpus node:1023
	fails "vcpu-cpus '1:$ONE': there is no vCPU 1: the guest has 1" \
		"${run[@]}" --vcpu-cpus "0:$ONE,1:$ONE"
	fails "vcpu-cpus '3-x': CPU 'x' is not a whole number" "${run[@]}" --vcpu-cpus 3-x
	fails "this host has no CPU 1023" on B receive --listen 127.0.0.1:0 --vcpu-cpus 0:1023
	empty A
	! isolated "$OTHER" || skip "this host isolates CPU $OTHER, which may therefore be named"
	fails "CPU $OTHER is not for this process: its affinity and the cpuset of its control group allow " \
		taskset -c "$ONE" env WATARI_RUNTIME_DIR="$PWD/A" "$W" run --name bird --kernel guest.elf \
		--memory 64M --serial none --vcpu-cpus "$OTHER"
	empty A
}

# A host that isolates a CPU is made up: whoever is started there finds the kernel's list replaced.
@test "an isolated CPU may be named although nothing runs there by itself" {
	two_cpus
	echo "$OTHER" >list
	unshare -m mount --bind list /sys/devices/system/cpu/isolated ||
		skip "a mount namespace takes root"
	WATARI_RUNTIME_DIR=$PWD/A unshare -m sh -c \
		'mount --bind list /sys/devices/system/cpu/isolated && exec "$@"' sh \
		taskset -c "$ONE" "$W" run --name bird --kernel guest.elf --memory 64M --serial none \
		--append "$WORK" --vcpu-cpus "$OTHER" >bird.log 2>&1 3>&- &
	until_ok 60 working A bird
	[ "$(cpus_of A bird vcpu0)" = "$OTHER" ]
	[ "$(cpus_of A bird watari)" = "$ONE" ] # asking has changed nothing
	lives A bird
}

@test "a guest that moves is placed as its new host says, and anywhere if that says nothing" {
	two_cpus
	start A bird --memory 128M --append "$WORK" --vcpu-cpus "$ONE"
	receiver B --vcpu-cpus "0:$OTHER,1:$ONE" # this guest has no vCPU 1
	on A migrate bird --to "127.0.0.1:$PORT"
	[ "$(cpus_of B bird vcpu0)" = "$OTHER" ]
	[ "$(cpus_of B bird watari)" = "$MINE" ]
	on B show bird | grep -qx "vcpu-cpus = 0:$OTHER"
	lives B bird
	receiver C
	on B migrate bird --to "127.0.0.1:$PORT"
	[ "$(cpus_of C bird vcpu0)" = "$MINE" ]
	on C show bird | grep -qx "vcpu-cpus = any"
	lives C bird
}

@test "a guest that comes back is placed as the definition kept here says, if that can be done" {
	two_cpus
	printf '[guest]\nname = bird\nkernel = guest.elf\nmemory = 64M\nserial = none\n' >bird.ini
	printf 'append = %s\nvcpu-cpus = %s\n' "$WORK" "$ONE" >>bird.ini
	on A run ./bird.ini --detach --log out
	[ "$(cpus_of A bird vcpu0)" = "$ONE" ]
	receiver A; to_a=$PORT
	receiver B; to_b=$PORT
	on A migrate bird --to "127.0.0.1:$to_b"
	[ "$(cpus_of B bird vcpu0)" = "$MINE" ]
	grep -qx "vcpu-cpus = $ONE" A.state/bird.ini
	on B migrate bird --to "127.0.0.1:$to_a"
	[ "$(cpus_of A bird vcpu0)" = "$ONE" ]
	on A migrate bird --to "127.0.0.1:$to_b"
	# the host has lost that CPU meanwhile: it is said, and the guest comes all the same
	sed -i 's/^vcpu-cpus = .*/vcpu-cpus = 1023/' A.state/bird.ini
	on B migrate bird --to "127.0.0.1:$to_a"
	[ "$(cpus_of A bird vcpu0)" = "$MINE" ]
	grep -q "the vCPUs of guest bird are not placed as its definition kept here says: vcpu-cpus '1023': this host has no CPU 1023" A.log
	lives A bird
}
