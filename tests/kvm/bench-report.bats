#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the bench says and leaves, whatever it measured: peers, reports, files, refusals. None of it
# minds who else is on the machine. What is measured is bench.bats.

load helper
load bench

# Of several moves the least disturbed is compared: noise only ever adds.

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
