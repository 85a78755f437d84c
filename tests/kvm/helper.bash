# SPDX-License-Identifier: Apache-2.0
# What the tests with real guests share. Every test has a directory of its own for each "host" (a
# runtime directory), and teardown ends whatever process still names one of them.
bats_require_minimum_version 1.5.0

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
TOOLS=$ROOT/tests/kvm

setup() {
	W=${WATARI:-build/watari}
	[[ $W == /* ]] || W=$ROOT/$W
	[ -x "$W" ] || skip "there is no binary at $W: run make"
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip "/dev/kvm is missing or may not be opened"
	cd "$BATS_TEST_TMPDIR" || return 1
	"$W" bench guest --output guest.elf
	mkdir A B C
	export WATARI_STATE_DIR=$BATS_TEST_TMPDIR/state # of those started without the functions below
}

teardown() {
	sweep
}

# sweep: ends what is left of this test: only processes that carry its very directory in their environment.
sweep() {
	local p
	for p in $("$TOOLS/pids" "$BATS_TEST_TMPDIR"); do
		kill -9 "$p" 2>/dev/null || true
	done
	wait || true
}

# state_of HOST: its state directory, or that of STATE, which stands for all.
state_of() {
	echo "${STATE:-$BATS_TEST_TMPDIR/$1.state}"
}

# on HOST COMMAND...: watari, as seen on that host.
on() {
	local host=$1
	shift
	WATARI_STATE_DIR=$(state_of "$host") WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$host \
		timeout -v 60 "$W" "$@"
}

# until_ok SECONDS COMMAND...: polls a condition; fails when it does not come true in time.
until_ok() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -le $end ] || { echo "never true: $*"; return 1; }
		sleep 0.02
	done
}

# start HOST NAME ARGS...: a bench guest in the background, RUN is its process; waits until it
# works on its pages. Its output is in NAME.log.
start() {
	local host=$1 name=$2
	shift 2
	WATARI_STATE_DIR=$(state_of "$host") WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$host \
		"$W" run --name "$name" --kernel guest.elf \
		--serial none "$@" >"$name.log" 2>&1 3>&- &
	RUN=$!
	until_ok 60 working "$host" "$name" || { cat "$name.log"; return 1; }
}

working() {
	[ "$(report "$1" "$2" state)" = running ]
}

# receiver HOST ARGS...: watari receive in the background. RECEIVER is its process, PORT its port.
receiver() {
	local host=$1
	shift
	: >"$host.log"
	WATARI_STATE_DIR=$(state_of "$host") WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$host \
		"$W" receive --listen 127.0.0.1:0 "$@" \
		>"$host.log" 2>&1 3>&- &
	RECEIVER=$!
	until_ok 10 grep -q '^listening on' "$host.log"
	PORT=$(sed -n 's/^listening on .*://p' "$host.log")
}

# report HOST NAME KEY: what the bench guest says of itself in its memory (see tests/kvm/report).
report() {
	"$TOOLS/report" "$BATS_TEST_TMPDIR/$1" "$2" "$3"
}

# field HOST NAME KEY: of watari status.
field() {
	on "$1" status "$2" --json | perl -MJSON::PP -0777 -ne \
		'my $v = decode_json($_); $v = $v->{$_} for split /\./, "'"$3"'"; print "$v\n"'
}

# lives HOST NAME: it runs, its heart beats, and it never found a bad page.
lives() {
	local before after
	[ "$(field "$1" "$2" state)" = running ]
	before=$(report "$1" "$2" heartbeat)
	until_ok 10 beyond "$1" "$2" heartbeat "$before"
	before=$(report "$1" "$2" pages_written)
	until_ok 10 beyond "$1" "$2" pages_written "$before"
	after=$(report "$1" "$2" stamp_errors)
	[ "$after" -eq 0 ]
}

beyond() {
	[ "$(report "$1" "$2" "$3")" -gt "$4" ]
}

# fails TEXT COMMAND...: exit 1 within 5 s, one sentence with TEXT on stderr. A machine that others
# use too may hold anything up for seconds: only what is late three times over takes that long.
fails() {
	local text=$1 begin took try
	shift
	for try in 1 2 3; do
		begin=$EPOCHREALTIME
		run --separate-stderr "$@"
		took=$(((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}) / 1000))
		echo "try $try: status $status after $took ms; stderr: $stderr; stdout: $output"
		[ "$status" -eq 1 ] || return 1
		[ "$took" -ge 5000 ] || break
	done
	[ "$took" -lt 5000 ]
	[[ $stderr == *"$text"* ]]
	[[ $stderr == "watari: "* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

# children PID: of it, "PID NAME" a line.
children() {
	perl -e 'for (glob "/proc/[0-9]*/stat") { open(my $f, "<", $_) or next;
		my $l = <$f> // next; print "$1 $2\n" if $l =~ /^(\d+) \((.*)\) \S (\d+) / && $3 == $ARGV[0] }' "$1"
}

# incoming RECEIVER: the processes it has for guests that come or came.
incoming() {
	children "$1" | sed -n '/ watari-ready$/!s/ .*//p'
}

# ready RECEIVER: the process it keeps for the next.
ready() {
	children "$1" | sed -n 's/ watari-ready$//p' | grep .
}

empty() {
	[ -z "$(ls -A "$BATS_TEST_TMPDIR/$1")" ]
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# assemble GUEST: the guest of GUEST.S as GUEST.elf; needs a compiler.
assemble() {
	command -v gcc >/dev/null || skip "gcc is not installed"
	gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-Ttext=0x200000 \
		-Wl,-e,entry -o "$1.elf" "$TOOLS/$1.S"
}

# start_small GUEST HOST NAME ARGS...: GUEST.elf in the background, its console a socket; RUN is its process.
start_small() {
	local guest=$1 host=$2 name=$3
	shift 3
	WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$host "$W" run --name "$name" --kernel "$guest.elf" \
		--memory 64M --serial socket "$@" >"$name.log" 2>&1 3>&- &
	RUN=$!
	until_ok 30 on "$host" status "$name" || { cat "$name.log"; return 1; }
}

teller() {
	assemble teller
}

# tell HOST NAME ARGS...: the guest of teller.S, as start_small.
tell() {
	start_small teller "$@"
}

# view HOST NAME FILE: attaches, and what comes goes to FILE; VIEW is the process, fd 8 its keyboard.
view() {
	rm -f keys
	mkfifo keys
	WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/$1 "$W" console "$2" <keys >"$3" 2>"$3.err" 3>&- &
	VIEW=$!
	exec 8>keys
}

# type TEXT: to whoever is attached.
type_keys() {
	printf '%s' "$1" >&8
}
