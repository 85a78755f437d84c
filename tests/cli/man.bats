#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The manual says what --help says: no option is in one and not in the other.

load helper

options_of_help() {
	"$W" "$1" --help | perl -ne 'print "$1\n" if /^ +(?:-\S, )?--([a-z-]+)/' | sort -u
}

options_of_man() {
	perl -ne 'next unless /^\.It/; print "$1\n" while /Fl Fl ([a-z-]+)/g' \
		"$ROOT/docs/man/watari-$1.1" | sort -u
}

@test "--help and manual name the same options" {
	for c in run receive migrate check cancel history list show status console stop reset pause resume balloon kill probe; do
		echo "$c"
		[ -n "$(options_of_help "$c")" ]
		diff <(options_of_help "$c") <(options_of_man "$c")
	done
}

@test "what the benches' --help names, their page names" {
	diff <(for c in downtime transport tracker target guest demo; do
		"$W" bench "$c" --help
	done | perl -ne 'print "$1\n" if /^ +(?:-\S, )?--([a-z-]+)/' | sort -u) <(options_of_man bench)
}

@test "every command has a page, and watari(1) refers to it" {
	"$W" help | perl -ne 'print "$1\n" if /^  ([a-z]+) /' | while read -r c; do
		[ "$c" = help ] && continue
		echo "$c"
		[ -f "$ROOT/docs/man/watari-$c.1" ]
		grep -q "Xr watari-$c 1" "$ROOT/docs/man/watari.1"
	done
}

@test "the pages are well-formed" {
	command -v mandoc >/dev/null || skip "mandoc is not installed"
	run mandoc -Tlint -W warning "$ROOT"/docs/man/*.1
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}
