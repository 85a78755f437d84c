#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whatever dies in the hand-over, and wherever: either process by SIGKILL, or the connection, at every
# named point (docs/hacking.md), three times each. Afterwards one host runs the guest, or its only
# copy ended with its owner's process, or both say that they are in doubt and `own` settles it; the
# stamps are right, the image is locked while the guest lives and free when it does not, and nothing
# is left behind.

load helper

TIMES=${CRASH_TIMES:-3}

# move KIND POINT: moves bird from A to B; what dies is the one that has POINT in its environment.
# SRC and DST are the processes, the answer is in migrate.out.
move() {
	local kind=$1 point=$2 var
	var=WATARI_${kind^^}_AT
	rm -rf A/* B/* A.state B.state disk.img.holder
	export "$var=$point"
	start A bird --memory 64M ${DISK:+--disk "$DISK"} --append "workset=1M rate=20000 fill=2M"
	SRC=$RUN
	receiver B
	unset "$var"
	# A crash of the source is this command's loss of its peer; whatever it says, the hosts are asked.
	on A migrate bird --downtime-limit 5s --frozen-timeout 30s --to "127.0.0.1:$PORT" >migrate.out 2>&1 || true
}

# state HOST: of bird there; "none" without it.
state() {
	local s
	s=$(field "$1" bird state 2>/dev/null) || true
	echo "${s:-none}"
}

# settled: neither end is still at it.
settled() {
	A_IS=$(state A)
	B_IS=$(state B)
	[[ $A_IS != migrating && $B_IS != incoming ]] || return 1
	case $EXPECT in
	A) [ "$A_IS/$B_IS" = running/none ] ;;
	B) [ "$A_IS/$B_IS" = none/running ] ;;
	nobody) [ "$A_IS/$B_IS" = none/none ] ;;
	doubt-A) [ "$A_IS/$B_IS" = in-doubt/none ] ;;
	doubt-B) [ "$A_IS/$B_IS" = none/in-doubt ] ;;
	# The source may have heard of LOADED before it notices the cut: then COMMIT was on its way.
	A-doubt-B) [[ $A_IS/$B_IS == @(running|in-doubt)/in-doubt ]] ;;
	doubt-A-B) [ "$A_IS/$B_IS" = in-doubt/running ] ;;
	either) [[ $A_IS/$B_IS == @(running/none|none/running) ]] ;;
	esac
}

# image_is locked|free: what a second guest is told about it.
image_is() {
	[ -n "$DISK" ] || return 0
	run on C run --detach --log other.log --name other --kernel guest.elf --serial none \
		--memory 64M --disk "$DISK"
	if [ "$1" = locked ]; then
		[ "$status" -eq 1 ]
		[[ $output == *"is in use by guest bird on host"* ]]
	else
		echo "$output"
		[ "$status" -eq 0 ]
		on C kill other
	fi
}

# only HOST...: the processes that are left are those hosts' guests and the receiver.
only() {
	local p host want="$RECEIVER"
	for host in "$@"; do
		want+=" $(field "$host" bird pid)"
	done
	for p in $("$TOOLS/pids" "$BATS_TEST_TMPDIR"); do
		[ "$(readlink "/proc/$p/exe")" = "$W" ] || continue
		[[ " $want " == *" $p "* ]] || { echo "left behind: $p ($(tr '\0' ' ' <"/proc/$p/cmdline"))"; return 1; }
	done
}

# own_settles HOST OTHER: bird is in doubt there; run here it works, and ends there.
own_settles() {
	run on "$1" status bird
	[[ $output == *"watari own"* && $output == *"watari kill"* ]]
	run on "$1" resume bird
	[ "$status" -eq 1 ]
	on "$1" own bird --json | grep -q '"state":"running"'
	lives "$1" bird
	fails "not in doubt" on "$1" own bird
}

# check KIND POINT EXPECT: one such death, as often as asked for.
check() {
	local i host
	EXPECT=$3
	for ((i = 0; i < TIMES; i++)); do
		move "$1" "$2"
		until_ok 20 settled || {
			echo "$1 at $2: at A $(state A), at B $(state B), expected $EXPECT"
			cat migrate.out bird.log B.log
			return 1
		}
		case $EXPECT in
		doubt-A) own_settles A && host=A ;;
		doubt-B) own_settles B && host=B ;;
		A-doubt-B)
			[ "$A_IS" = running ] || own_settles A
			lives A bird && on B kill bird && host=A
			;;
		doubt-A-B) lives B bird && on A kill bird && host=B ;;
		nobody) host= ;;
		*) [ "$A_IS" = running ] && host=A || host=B ;;
		esac
		if [ -n "$host" ]; then
			lives "$host" bird
			image_is locked
			until_ok 5 only "$host"
			on "$host" kill bird
			[ ! -e disk.img.holder ]
		fi
		kill "$RECEIVER" 2>/dev/null
		wait "$RECEIVER" "$SRC" 2>/dev/null || true
		# a killed process leaves its socket, and whoever lists the guests removes it
		on A list >/dev/null && on B list >/dev/null
		[ "$(find A B -type s | wc -l)" -eq 0 ]
	done # that the image is free the next guest shows, which has it
	image_is free
}

image() {
	truncate -s 4M disk.img
	DISK="root,path=$PWD/disk.img"
}

@test "crashes of the source, by the disk's lock: before the state nothing runs, after it the target does" {
	image
	check crash source-frozen nobody
	check crash source-state-sent B
	check crash source-loaded B
	check crash source-released B
	check crash source-committed B
}

@test "crashes of the target, by the disk's lock: the source goes on, unless the target had become the owner" {
	image
	check crash target-loaded A
	check crash target-told A
	check crash target-acquiring A
	check crash target-acquired nobody
	check crash target-thawed nobody
}

@test "cuts at the source, by the disk's lock: one of the two runs it" {
	image
	check cut source-frozen A
	check cut source-state-sent A
	check cut source-loaded either
	check cut source-released either
	check cut source-committed either
}

@test "cuts at the target, by the disk's lock: one of the two runs it" {
	image
	check cut target-loaded A
	check cut target-told either
	check cut target-acquiring either
	check cut target-acquired B
	check cut target-thawed B
}

@test "a source that dies while it asks the storage leaves the guest to the target" {
	image
	EXPECT=B
	export WATARI_CUT_AT=source-state-sent
	check crash source-arbitrate B
	unset WATARI_CUT_AT
}

@test "without a disk: in doubt has a name, and own settles it" {
	DISK=
	check crash source-frozen nobody
	check crash source-state-sent doubt-B
	check crash source-released doubt-B
	check crash source-committed B
	check crash target-loaded A
	check crash target-told doubt-A
	check crash target-acquiring doubt-A
	check cut source-state-sent A-doubt-B
	check cut target-thawed doubt-A-B
}
