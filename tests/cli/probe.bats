#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# watari probe: what each transport could do, best first, for people and for scripts.

load helper

# The keys of the JSON answer, checked; prints the value of the Perl expression $1 on it, $_.
answer() {
	perl -MJSON::PP -0777 -ne '$_ = decode_json($_); print(('"$1"'), "\n")'
}

@test "every transport has its line, and the last line says what a move takes" {
	run "$W" probe
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output =~ (^|$'\n')tcp\ +usable\ +[A-Z] ]]
	[[ ${lines[-1]} == "a move takes "*", if the target can use it too" ]]
	[ "$(grep -cE '^[a-z]+ +(usable|unusable) +.' <<<"$output")" -eq $((${#lines[@]} - 1)) ]
}

@test "--json is one object: best is the first that is usable" {
	run --separate-stderr "$W" probe --json
	echo "$output"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	[ "$(answer 'defined $_->{address} ? 1 : 0' <<<"$output")" = 0 ]
	[ "$(answer '$_->{best} eq (grep { $_->{usable} } @{$_->{transports}})[0]{name} ? 1 : 0' <<<"$output")" = 1 ]
	[ "$(answer 'scalar grep { !length $_->{why} } @{$_->{transports}}' <<<"$output")" = 0 ]
	[ "$(answer 'join " ", map { $_->{name} } @{$_->{transports}}' <<<"$output")" = "rdma tcp uring" ]
}

@test "an address may have a port, brackets, or neither" {
	for a in 127.0.0.1 127.0.0.1:4000; do
		run "$W" probe "$a"
		[[ ${lines[-1]} == "a move to 127.0.0.1 takes "* ]]
	done
	for a in ::1 '[::1]:4000'; do
		[ "$("$W" probe "$a" --json | answer '$_->{address}')" = ::1 ]
	done
}

@test "a device that is not here makes rdma unusable, and nothing else" {
	run "$W" probe --rdma-device nosuch0
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output =~ (^|$'\n')rdma\ +unusable\ +[A-Za-z] ]]
	[[ $output =~ (^|$'\n')tcp\ +usable ]]
	fails 1 "too long for an RDMA device's name" "$W" probe --rdma-device "$(printf '%0999d' 1)"
}

@test "an address that is none is named" {
	fails 1 "no.such.host.invalid" "$W" probe no.such.host.invalid
	fails 1 "address is 999 bytes long" "$W" probe "$(printf '%0999d' 1)"
	fails 2 "two" "$W" probe one two
}
