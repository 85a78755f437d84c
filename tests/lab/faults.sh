# SPDX-License-Identifier: Apache-2.0
#
# One random fault over a move of the ledger's guest, on hosts with shared storage: drawn, made, mended, judged and
# written down. For scripts that source lib.sh, store.sh and ledger.sh and set $seed, $count, $results, $from (where the
# guest runs), $judged=0.
# Must never explain a finding away: what breaks a promise is a violation in the result, with what was seen.
# Invariant: what fault N is follows from the seed and N alone.
# Next in the flow: tests/lab/trip makes the fault happen, tests/lab/ledger-judge and ledger.c judge.
#
#   Environment: LAB_KINDS="kill-source ..." (only these), LAB_SETTLE=240 (seconds for a fault to settle)
# shellcheck shell=bash
settle=${LAB_SETTLE:-240}

progress() {
	printf '%s %s\n' "$(date +%T)" "$*"
}

# draw N: the fault, as shell words. All chances are in here.
draw() {
	perl -MDigest::MD5=md5 -e '
		my ($seed, $n, @only) = @ARGV;
		srand(unpack "L", md5("$seed $n")); # near numbers give near chances
		my @kinds = (("kill-source") x 3, ("kill-target") x 3, ("power-source") x 2, ("power-target") x 2, ("cable") x 4);
		my $pick = int rand @kinds;
		my $kind = @only ? $only[int rand @only] : $kinds[$pick];
		# Two in three are about the switchover; the others any time of a move.
		my $moment = rand() < 2 / 3 ? sprintf("late:%d", rand() < 0.5 ? rand 100 : rand 1500) : sprintf("after:%d", rand 6000);
		printf "kind=%s moment=%s transport=%s cut=%.1f off=%d again=%s direct=%s\n", $kind, $moment,
			rand() < 0.5 ? "tcp" : "uring", rand() < 0.3 ? 20 + rand 30 : rand 12, rand() < 0.3 ? 25 : rand 6,
			rand() < 0.5 ? "a" : "b", rand() < 0.5 ? "on" : "off"' "$seed" "$1" ${LAB_KINDS:-}
}

# hurt: arms the fault of a move from $from to $to. Its sign is $lab_pair/sign when it has happened.
hurt() {
	local socket=/run/watari/ledger.sock pid
	local when=$moment
	[ "${moment%%:*}" = after ] || when=$moment:$socket
	rm -f "$lab_pair"/{moment,sign}{,.armed}
	pid=$(lab_do $from '"$watari" status ledger --json' | json pid)
	case $kind in
	kill-source) lab_do $from "\$tests/trip $when kill:$pid /pair/sign" ;;
	kill-target)
		lab_do $to '$tests/trip sign:/pair/moment children:$(cat /lab/receive.pid) /pair/sign' &
		lab_do $from "\$tests/trip $when none /pair/moment"
		;;
	power-*)
		local victim=$from
		[ $kind = power-source ] || victim=$to
		"$lab_tests/trip" "sign:$lab_pair/moment" "kill:${lab_pair_pid[$victim]}" "$lab_pair/sign" &
		lab_do $from "\$tests/trip $when none /pair/moment"
		;;
	cable)
		"$lab_tests/trip" "sign:$lab_pair/moment" "cable:wire-$from" "$lab_pair/sign" &
		lab_do $from "\$tests/trip $when none /pair/moment"
		;;
	esac >/dev/null 2>"$lab_pair/hurt.errors" &
	tripping=$!
}

# mend: what an operator does about it: the cable is plugged in, the power comes back, and receivers listen.
mend() {
	local victim=
	case $kind in
	power-source) victim=$from ;;
	power-target) victim=$to ;;
	cable)
		sleep "$cut"
		ip link set wire-$from up
		;;
	esac
	[ -n "$victim" ] || return 0
	wait "${lab_pair_pid[$victim]}" 2>/dev/null
	sleep "$off"
	ledger_host_again $victim
}

# look: what both hosts say of the guest: " a:running:123 b:paused:77", by host, state and process; "incoming" is a
# process of the receiver that has no guest to show yet, but for the one it keeps ready. What the guest's own blocks say counts more (judge).
look() {
	local host
	for host in a b; do
		lab_do $host '"$watari" list --json; r=$(cat /lab/receive.pid)
			for c in $(cat /proc/$r/task/$r/children); do grep -qx watari-ready /proc/$c/comm || printf "%s " $c; done' \
			>"$lab_pair/look.$host" 2>/dev/null &
		looking[$host]=$!
	done
	seen=
	for host in a b; do
		wait ${looking[$host]} || seen+=" $host:silent:0"
		seen+=$(perl -MJSON::PP -0777 -ne '/^(.*\])(.*)/s or exit;
			my ($list, %child) = (decode_json($1), map { $_ => 1 } split " ", $2);
			printf " %s:%s:%d", "'$host'", $_->{state}, $_->{pid} foreach @$list;
			delete $child{$_->{pid}} foreach @$list;
			printf " %s:incoming:%d", "'$host'", $_ foreach sort keys %child' "$lab_pair/look.$host")
	done
}
declare -A looking=()

# writes_since T: the guest has synced a block after T, where it ran last. Sets first.
writes_since() {
	first=$("$lab_tests/ledger-judge" "$lab_pair/watched" since "$1")
	[ -n "$first" ]
}

# settled: one runner and nobody else, twice in a row, and it writes. Or nobody at all, twice. Sets runner.
settled() {
	local end=$((SECONDS + settle)) before='' now
	while [ $SECONDS -lt $end ]; do
		look
		now=$seen
		if [ "$now" = "$before" ]; then
			[ -n "$now" ] || { runner=none && return; }
			if [[ "$now" =~ ^\ (a|b):running:[0-9]+$ ]] && writes_since "$at"; then
				runner=${BASH_REMATCH[1]}
				[ "${first%% *}" = "$runner" ] && return
			fi
		fi
		before=$now
		sleep 0.5
	done
	runner=unsettled
	return 1
}

violation() {
	violations+=("$*")
	progress "    VIOLATION: $*"
}

# judge: the guest's own words, and the disk. A block after the last may be in the making, so one that looks again.
judge() {
	local line last seq
	while IFS= read -r line; do
		[ -n "$line" ] && violation "$line"
	done < <("$lab_tests/ledger-judge" "$lab_pair/watched" | tail -n +$((judged + 1)))
	judged=$("$lab_tests/ledger-judge" "$lab_pair/watched" | wc -l)
	last=$("$lab_tests/ledger-judge" "$lab_pair/watched" last)
	seq=$(echo "$last" | cut -d' ' -f3)
	line=$(ledger_whole "${seq:-0}") || violation "$line"
}

# restart: the guest is started from its disk where chance says, as soon as the storage lets it.
restart() {
	restarted=true
	ledger_start "$again" "$direct" 120 || violation "the guest cannot be started from its disk: $(cat "$lab_pair/$again/guest.run.errors" 2>/dev/null)"
	lab_wait 60 writes_since "$at" || violation "started from its disk, it does not write"
	runner=$again
}

# record: the result of a fault, one line.
record() {
	local ended
	ended=$(cat "$lab_pair/move.errors" "$lab_pair/move.said" 2>/dev/null | head -c 2000)
	perl -MJSON::PP -e '
		my %r;
		@r{qw(n kind moment phase hit transport from to moved runner restarted ms seen move violations)} = (@ARGV[0 .. 13], [@ARGV[14 .. $#ARGV]]);
		$r{$_} += 0 foreach qw(n ms);
		$r{$_} = $r{$_} eq "true" ? JSON::PP::true : JSON::PP::false foreach qw(hit restarted moved);
		print JSON::PP->new->canonical->encode(\%r), "\n"' \
		"$n" "$kind" "$moment" "$phase" "$hit" "$transport" "$from" "$to" "$moved" "$runner" "$restarted" "$ms" "$seen" \
		"$ended" "${violations[@]}" >>"$results"
}

# one fault of the campaign
fault() {
	local kind moment transport cut off again direct to mover tripping at first='' phase hit moved=false ms=-1
	local restarted=false violations=() sign
	eval "$(draw "$n")"
	to=$(ledger_other $from)
	: >"$lab_pair/move.said" && : >"$lab_pair/move.errors"
	hurt
	lab_wait 120 test -e "$lab_pair/sign.armed"
	[ $kind = kill-source ] || lab_wait 120 test -e "$lab_pair/moment.armed"
	lab_do $from "\$watari migrate ledger --to \$$to:7777 --transport $transport --downtime-limit 500ms \
		--frozen-timeout 10s --json" >"$lab_pair/move.said" 2>"$lab_pair/move.errors" &
	mover=$!
	lab_wait 330 test -e "$lab_pair/sign" || { progress "$n $kind: it did not happen: $(cat "$lab_pair/hurt.errors")" && ip link set wire-$from up; }
	sign=$(cat "$lab_pair/sign" 2>/dev/null || echo "0 - 0")
	hit=false
	[ "${sign##* }" = 0 ] || hit=true
	phase=$(cut -d' ' -f2 "$lab_pair/moment" 2>/dev/null || cut -d' ' -f2 <<<"$sign")
	lab_wait 5 grep -q ' - fault$' "$lab_pair/watched"
	at=$(grep ' - fault$' "$lab_pair/watched" | tail -n 1 | cut -d' ' -f1)
	at=${at:-0}
	mend
	settled || violation "no single runner within $settle s: $seen"
	wait $mover && moved=true
	wait $tripping
	[ "$runner" != none ] || restart
	[ -z "$first" ] || [ "$at" = 0 ] || ms=$(perl -e 'printf "%d", ($ARGV[1] - $ARGV[0]) * 1000' "$at" "${first##* }")
	judge
	record
	progress "$n of $count: $kind ${moment%:*} ${moment##*:} ms ($phase) over $transport from $from:" \
		"$([ $moved = true ] && echo moved || echo 'not moved'), runs on $runner$([ $restarted = true ] && echo ' from its disk')," \
		"after $ms ms$([ ${#violations[@]} = 0 ] || echo ", ${#violations[@]} violations")"
	violated=${#violations[@]}
	if [ "$runner" = unsettled ] || [ $violated != 0 ]; then
		keep_evidence
		ledger_afresh || lab_die "the hosts do not come back"
		runner=a
	fi
	from=$runner
	rm -f "$lab_pair/sign" "$lab_pair/moment"
}

# keep_evidence: what was there when a promise was broken.
keep_evidence() {
	local to=$lab_dir/faults-nfs.$seed.evidence/$n host
	mkdir -p "$to" && cp "$lab_pair/watched" "$to/watched" && cp "$lab_pair"/move.* "$to/"
	cp --sparse=always "$lab_store"/* "$to/"
	for host in a b; do
		mkdir -p "$to/$host" && cp "$lab_pair/$host"/{guest,guest.run,guest.run.errors,receive,receive.errors} "$to/$host/" 2>/dev/null
		lab_do $host '"$watari" list; "$watari" history 2>/dev/null; dmesg | tail -n 50' >"$to/$host/said" 2>&1
	done
}
