#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How the command explains itself, and how it turns away what it does not understand.

load helper

COMMANDS="run receive migrate check cancel own history list show status console stop reset pause resume balloon kill probe keygen"

@test "--help lists every command with a line each" {
	run "$W" --help
	[ "$status" -eq 0 ]
	for c in $COMMANDS bench help; do
		[[ $output =~ (^|$'\n')"  $c "+[a-z] ]]
	done
	[[ $output != *incoming* ]]
	[ "$("$W" help)" = "$output" ]
}

@test "without a command the list goes to stderr and the exit code is 2" {
	run --separate-stderr "$W"
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ $stderr == Usage:* ]]
}

@test "--version is one line, the same everywhere" {
	run "$W" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^watari\ [0-9]+\.[0-9] ]]
	[ "${#lines[@]}" -eq 1 ]
	for c in $COMMANDS; do
		[ "$("$W" "$c" --version)" = "$output" ]
	done
}

@test "every command has --help and --usage" {
	for c in $COMMANDS; do
		run --separate-stderr "$W" "$c" --help
		[ "$status" -eq 0 ]
		[[ $output == "Usage: watari $c"* ]]
		[ -z "$stderr" ]
		[ "$("$W" help "$c")" = "$output" ]
		run "$W" "$c" --usage
		[ "$status" -eq 0 ]
	done
}

@test "an unknown command or option is exit 2" {
	fails 2 "unknown command 'fly'" "$W" fly
	fails 2 "unknown option '--fly'" "$W" --fly
	fails 2 "unknown command 'fly'" "$W" help fly
	for c in $COMMANDS; do
		fails 2 "--fly" "$W" "$c" --fly
	done
}

@test "what is missing is named, exit 2" {
	fails 2 "--name is missing" "$W" run --kernel x
	fails 2 "--kernel is missing" "$W" run --name x
	fails 2 "--listen is missing" "$W" receive
	fails 2 "NAME is missing" "$W" migrate --to 127.0.0.1:1
	fails 2 "--to is missing" "$W" migrate bird
	for c in cancel own show status console stop reset pause resume kill; do
		fails 2 "NAME is missing" "$W" "$c"
		fails 2 "two" "$W" "$c" one two
	done
	fails 2 "more" "$W" list more
	fails 2 "more" "$W" run a.ini more
	fails 2 "more" "$W" history bird more
	fails 2 "requires an argument" "$W" run --name
}
