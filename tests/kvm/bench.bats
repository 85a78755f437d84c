#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The bench as an instrument: what it shows is what happened, and nothing is what it shows of
# nothing.

load helper

# A small guest, so that a move takes a fraction of a second.
SMALL="--memory 128M --workset 2M --warm-up 0"

# json EXPRESSION: in Perl, of the results as $r, in r.json.
json() {
	perl -MJSON::PP -MList::Util=min,max,sum -0777 -e '
		open my $in, "<", "r.json" or die "r.json: $!\n";
		my $r = decode_json(<$in>);
		my @runs = @{$r->{runs}};
		my $v = eval shift;
		die $@ if $@;
		print ref $v eq "JSON::PP::Boolean" ? $v ? "true" : "false" : $v, "\n";
	' "$1"
}

bench() {
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR timeout -v 200 "$W" bench downtime "$@"
}

@test "every combination of the lists is a case; the JSON says which version it is" {
	bench $SMALL --rate 1000,50000 --downtime-limit 10ms,20ms --runs 1 --json r.json
	[ "$(json '$r->{schema}')" = watari-bench-downtime ]
	[ "$(json '$r->{version}')" = 2 ]
	[ "$(json 'scalar @{$r->{cases}}')" = 4 ]
	[ "$(json 'join ",", map { "$_->{rate}/$_->{downtime_limit_ns}" } @runs')" = \
		1000/10000000,1000/20000000,50000/10000000,50000/20000000 ]
	[ "$(json 'scalar grep { $_->{verified} } @runs')" = 4 ]
	[ "$(json 'scalar grep { @{$_->{timeline}{work_pages}} < 150 } @runs')" = 0 ]
	[ "$(json 'scalar grep { $_->{cpu_target_ms} <= 0 || $_->{peak_target_bytes} < 100e6 } @runs')" = 0 ]
	[ -z "$(ls -d watari-bench.* 2>/dev/null)" ]
}

@test "both ends take little memory beside the guest's, and every move was predicted" {
	bench --memory 1G --workset 2M --fill 16M --warm-up 0 --runs 2 --streams 1,auto --json r.json
	json 'join "\n", map { "$_->{peak_source_bytes} $_->{peak_target_bytes} $_->{predicted_us}" } @runs'
	[ "$(json '
		my $most = (16 << 20) + (64 << 20) + (1 << 30) / 1000;
		scalar grep { max($_->{peak_source_bytes}, $_->{peak_target_bytes}) >= $most } @runs')" = 0 ]
	[ "$(json 'scalar grep { $_->{predicted_us} > 0 } @runs')" = 4 ]
	[ "$(json 'join ",", map { $_->{systems}[0]{summary}{predicted} } @{$r->{cases}}')" = 2,2 ]
	[ "$(json 'join ",", map { $_->{vmm}{streams} } @runs')" = 1,1,1,1 ]
}

# Of several moves the least disturbed is compared: noise only ever adds.
@test "a stall of 30 ms in the switchover shows as 30 ms, to guest and observer, within 1 ms" {
	bench $SMALL --test-stall 0,30ms --runs 6 --json r.json
	json 'join "\n", map { "$_->{test_stall_ns} $_->{freeze_guest_us} $_->{freeze_observer_us}" } @runs'
	for seen in freeze_guest_us freeze_observer_us; do
		[ "$(json "
			my (\$with, \$without) = map { my \$ns = \$_;
				min map { \$_->{$seen} } grep { \$_->{test_stall_ns} == \$ns } @runs } 3e7, 0;
			abs(\$with - \$without - 30000) <= 1000 ? 'yes' : 'no'")" = yes ]
	done
}

@test "no move, no blackout" {
	bench $SMALL --test-still --runs 3 --json r.json
	[ "$(json 'max map { $_->{freeze_guest_us}, $_->{freeze_observer_us}, $_->{blackout_vmm_us} } @runs')" = 0 ]
	[ "$(json 'scalar grep { $_->{work_rate_before} <= 0 } @runs')" = 0 ]
}

@test "guest and observer agree" {
	bench $SMALL --runs 10 --json r.json
	json 'join "\n", map { "$_->{freeze_guest_us} $_->{freeze_observer_us} $_->{freeze_noted}" } @runs'
	[ "$(json '$r->{observer_agrees}{moves} >= 9 ? "yes" : "no"')" = yes ]
	# Two moves a turn: the window after the first is the one before the second, and all time is accounted for.
	[ "$(json 'join "", map { $_->{quiet_shared} ? 1 : 0 } @runs')" = 0101010101 ]
	[ "$(json 'scalar grep { $_->{steps_s}{after} < 1 || $_->{steps_s}{move} * 1000 < $_->{total_ms} } @runs')" = 0 ]
	[ "$(json 'scalar grep { $_->{steps_s}{quiet} >= 1 xor !$_->{quiet_shared} } @runs')" = 0 ]
	[ "$(json 'scalar grep { $_->{timeline}{first_bucket_ms} > -900 || @{$_->{timeline}{work_pages}} < 190 } @runs')" = 0 ]
}

@test "a peer that is not there is told and is no failure" {
	run bench $SMALL --runs 1 --peer qemu --peer-binary /nowhere/qemu --json r.json
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"No peer: /nowhere/qemu cannot be used"* ]]
	[[ $(json '$r->{no_peer}') == *"/nowhere/qemu"* ]]
	[ "$(json 'scalar @runs')" = 1 ]
}

@test "a peer that is nowhere on the PATH is told with its package" {
	mkdir bin
	run env PATH="$PWD/bin" "$W" bench downtime $SMALL --runs 1 --peer qemu
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"No peer: qemu-system-x86_64 cannot be used (Debian: qemu-system-x86)"* ]]
}

@test "a page without gnuplot is refused before anything is measured" {
	mkdir bin
	SECONDS=0
	run env PATH="$PWD/bin" "$W" bench downtime --runs 1000 --html page.html
	echo "$output"
	[ "$status" -eq 1 ] && [ "$SECONDS" -lt 5 ]
	[[ $output == *"--html: cannot run gnuplot, which draws the plots (Debian: gnuplot-nox)"* ]]
	[ ! -e page.html ]
}

@test "files that cannot be written are refused before anything is measured" {
	for option in json html; do
		run bench --runs 1000 --$option nowhere/file
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"--$option: nowhere/file cannot be written: No such file or directory"* ]]
	done
}

@test "a full disk at the end is told, after the table, and leaves no half a file" {
	run bench $SMALL --runs 1 --json /dev/full
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"Verified: 1 of 1"*"cannot write /dev/full: No space left on device"* ]]
	[ -c /dev/full ]
	[ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=8k small small || skip "no tmpfs may be mounted here: /dev/full alone was tried"
	run bench $SMALL --runs 1 --json small/r.json --html small/page.html
	left=$(ls small)
	umount small
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot write small/r.json: No space left on device"* ]]
	[[ $output == *"cannot write small/page.html: No space left on device"* ]]
	[ -z "$left" ]
}

@test "guests, VMMs and the observer stay where they are pinned, and the report says so" {
	cpu=$(perl -ne '/^Cpus_allowed_list:.*?(\d+)$/ && print $1' /proc/self/status)
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR "$W" bench downtime $SMALL --runs 3 --pin "$cpu" --pin-observer "$cpu" \
		--json r.json >out 2>err 3>&- &
	pid=$!
	until_ok 60 grep -q "move 1/3: away" err
	# every thread of every process it has started, guests and receivers, and its observer
	for p in $("$TOOLS/pids" "$BATS_TEST_TMPDIR"); do
		sed -n 's/^Cpus_allowed_list:\t//p' /proc/$p/task/*/status
	done >allowed 2>/dev/null
	wait "$pid"
	cat out err
	sort allowed | uniq -c
	[ "$(wc -l <allowed)" -ge 3 ] && [ "$(sort -u allowed)" = "$cpu" ]
	[ "$(json '"$r->{pinned}{guests} $r->{pinned}{observer}"')" = "$cpu $cpu" ]
	grep -q "^Pinned to processors: guests and VMMs on $cpu, observer on $cpu" out
}

@test "a processor that is not there is named" {
	run bench --pin 0,4095
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"--pin '0,4095': there is no processor 4095 here"* ]]
}

@test "the peer moves the same guest under the same eyes, in turns" {
	command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64: install qemu-system-x86"
	bench $SMALL --runs 2 --peer qemu --peer-mode precopy,multifd --verify-peer --json r.json
	[ -z "$(json '$r->{no_peer} // ""')" ] || skip "$(json '$r->{no_peer}')"
	[ "$(json 'join ",", map { "$_->{config}{label}" } @{$r->{cases}[0]{systems}}')" = \
		"watari tcp,qemu precopy,qemu multifd" ]
	[ "$(json 'scalar @runs')" = 6 ]
	[ "$(json 'scalar grep { !$_->{moved} || !$_->{verified} || $_->{freeze_observer_us} <= 0 } @runs')" = 0 ]
	[ "$(json '$r->{cases}[0]{systems}[1]{ratio_to_first}{freeze_guest_us} > 0 ? "yes" : "no"')" = yes ]
	! "$TOOLS/pids" "$BATS_TEST_TMPDIR" | grep .
}

@test "Ctrl-C ends it, and what was done is kept" {
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR "$W" bench downtime $SMALL --runs 1000 --json r.json \
		>out 2>err 3>&- &
	pid=$!
	until_ok 60 grep -q "move 2/1000: away" err
	kill -INT "$pid"
	! wait "$pid"
	cat out err
	[ "$(json '$r->{interrupted}')" = true ]
	[ "$(json 'scalar @runs >= 2 ? "yes" : "no"')" = yes ]
	[ -z "$(ls -d watari-bench.* 2>/dev/null)" ]
}

@test "what this machine cannot hold is refused before anything starts" {
	run bench --memory 64M,8192G
	[ "$status" -eq 1 ]
	[[ $output == *"--memory: a guest and its copy take"*"this machine has"* ]]
}

# shot FILE FLAGS...: the page as Chromium shows it, with whatever its console said in FILE.log.
shot() {
	local file=$1
	shift
	timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync \
		--user-data-dir="$PWD/profile-$file" --enable-logging=stderr --hide-scrollbars \
		--window-size=1100,2400 "$@" --screenshot="$PWD/$file" "file://$PWD/page.html" \
		>"$file.log" 2>&1
}

@test "the page needs nothing else, and is drawn in light and in dark" {
	command -v gnuplot >/dev/null || skip "there is no gnuplot: install gnuplot-nox"
	bench $SMALL --runs 2 --html page.html
	! grep -E '<script|<link|<img|src=|url\(|@import' page.html
	! grep -oE '(xlink:)?href=.[^#]' page.html
	[ "$(grep -o '<figure>' page.html | wc -l)" = 2 ]
	[ "$(grep -o '<svg role' page.html | wc -l)" = 2 ]
	[ -z "$(grep -oE " id=['\"][^'\"]+" page.html | sort | uniq -d)" ]
	command -v chromium >/dev/null || skip "there is no chromium: install it to see the page drawn"
	shot light.png
	shot dark.png --blink-settings=preferredColorScheme=0
	shot narrow.png --window-size=400,4800
	! grep -E 'CONSOLE|Page load failed' light.png.log dark.png.log narrow.png.log
	# on a telephone the plots stay as large as they can be read, and are scrolled
	[ "$("$ROOT/tests/lib/png-colours" narrow.png 2a7fd4 | sed -n 's/2a7fd4 //p')" -gt 50 ]
	"$ROOT/tests/lib/png-colours" light.png 2a7fd4 ffffff 16191c >light.txt
	"$ROOT/tests/lib/png-colours" dark.png 2a7fd4 ffffff 16191c >dark.txt
	tail -n 3 light.txt dark.txt
	# the plots' blue in both; paper white in one, black in the other
	[ "$(sed -n 's/2a7fd4 //p' light.txt)" -gt 200 ] && [ "$(sed -n 's/2a7fd4 //p' dark.txt)" -gt 200 ]
	[ "$(sed -n 's/ffffff //p' light.txt)" -gt 1000000 ] && [ "$(sed -n 's/16191c //p' dark.txt)" -gt 1000000 ]
}
