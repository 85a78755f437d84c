# SPDX-License-Identifier: Apache-2.0
# What a move comes to in which something dies: how it is made to, and the judges of what is left.
# crash.bats goes through every point with them; crash-mutants.bats lets them judge a program whose
# protocol is broken on purpose. Next in the flow: crash.bats.

# prepare KIND POINT: bird at A and a receiver at B; what will die is the one that has POINT in its
# environment. SRC is bird's process.
prepare() {
	local var=WATARI_${1^^}_AT
	rm -rf A/* B/* A.state B.state disk.img.holder
	export "$var=$2"
	start A bird --memory 64M ${DISK:+--disk "$DISK"} --append "workset=1M rate=20000 fill=2M"
	SRC=$RUN
	receiver B
	unset "$var"
}

# depart: moves bird from A to B. A crash of the source is this command's loss of its peer; whatever it
# says (migrate.out), the hosts are asked.
depart() {
	on A migrate bird --downtime-limit 5s --frozen-timeout 30s --to "127.0.0.1:$PORT" >migrate.out 2>&1 || true
}

# look: somebody else, who carries this test's directory as all do, takes the lock on the image's
# record, and gives it back at look_end.
look() {
	WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/look perl -MFcntl -e '
		open(my $f, "+<", "disk.img.holder") or die "the record: $!\n";
		my $l = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0); # struct flock
		fcntl($f, F_SETLK, $l) or die "its lock: $!\n";
		print "locked\n"; close(STDOUT); sleep' >looking 3>&- &
	LOOKER=$!
	until_ok 10 grep -q locked looking
}

look_end() {
	kill "$LOOKER"
	wait "$LOOKER" 2>/dev/null || true
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

# left DIR: the processes of this test in DIR, without the one that the receiver keeps ready for the next guest.
left() {
	"$TOOLS/pids" "$1" | grep -vxF "$(ready "$RECEIVER" || echo none)"
}

# only HOST...: the processes that are left are those hosts' guests and the receiver.
only() {
	local p host want="$RECEIVER"
	for host in "$@"; do
		want+=" $(field "$host" bird pid)"
	done
	for p in $(left "$BATS_TEST_TMPDIR"); do
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

# still HOST: its copy of bird does not run, whatever is said about it.
still() {
	local i before now
	before=$(report "$1" bird heartbeat 2>/dev/null) || { echo "$1 has no copy of bird"; return 1; }
	for i in {1..5}; do
		now=$(report "$1" bird heartbeat 2>/dev/null) || { echo "$1 has lost its copy of bird"; return 1; }
		[ "$now" = "$before" ] || { echo "bird runs on $1, which is not its owner"; return 1; }
	done
}

# verdict WHAT: within SETTLE seconds it ends as EXPECT says, and what is in doubt does not run.
# Changes nothing.
verdict() {
	until_ok "${SETTLE:-20}" settled >/dev/null || {
		echo "$1: at A $A_IS, at B $B_IS, expected $EXPECT"
		return 1
	}
	[ "$A_IS" != in-doubt ] || still A || return 1
	[ "$B_IS" != in-doubt ] || still B
}

# only_left HOST: nothing has become of the other end but a socket without a process.
only_left() {
	case $1 in
	A) [ -n "$(find B -type s)" ] && [ "$(left "$BATS_TEST_TMPDIR/B")" = "$RECEIVER" ] ;;
	B) gone "$SRC" ;;
	esac
}

# kept HOST: what ended the other end has happened, the record is in other hands, and so HOST waits.
kept() {
	until_ok 20 only_left "$1" && still "$1" &&
		[[ $(state "$1") == @(migrating|incoming) ]]
}

# aftermath: one end that is in doubt is made the owner and the other ended; who runs bird then lives,
# the image is its own, and it and nothing else is there; and with it all goes.
aftermath() {
	local host=
	case $EXPECT in
	doubt-?)
		host=${EXPECT#doubt-}
		own_settles "$host"
		;;
	A-doubt-B)
		host=A
		[ "$A_IS" = running ] || own_settles A
		lives A bird
		on B kill bird
		;;
	doubt-A-B)
		host=B
		lives B bird
		on A kill bird
		;;
	nobody) ;;
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
	on A list >/dev/null
	on B list >/dev/null
	[ "$(find A B -type s | wc -l)" -eq 0 ]
}

# check KIND POINT EXPECT: one such death, as often as asked for.
check() {
	local i
	EXPECT=$3
	for ((i = 0; i < TIMES; i++)); do
		prepare "$1" "$2"
		depart
		verdict "$1 at $2" || { cat migrate.out bird.log B.log; return 1; }
		aftermath
	done # that the image is free the next guest shows, which has it
	image_is free
}

# check_kept KIND POINT HOST: as well, but HOST, which is to become the owner, is kept from the record.
check_kept() {
	local i moving
	EXPECT=$3
	for ((i = 0; i < TIMES; i++)); do
		prepare "$1" "$2"
		look
		depart 3>&- &
		moving=$!
		kept "$3" || { cat migrate.out bird.log B.log; return 1; }
		look_end
		verdict "$1 at $2" || { cat migrate.out bird.log B.log; return 1; }
		wait "$moving"
		aftermath
	done
	image_is free
}

image() {
	truncate -s 4M disk.img
	DISK="root,path=$PWD/disk.img"
}

