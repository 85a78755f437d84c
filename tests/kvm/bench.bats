#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The bench as an instrument: what it shows is what happened, and nothing is what it shows of
# nothing.

load helper
load bench

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
