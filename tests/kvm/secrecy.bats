#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What really crosses the wire, taken from it by tests/kvm/relay: nothing of a guest for whoever cannot
# prove who they are, no word about a guest for whoever listens, none of its memory under --encrypt; and
# no secret is ever said, there or here.

load helper
load credentials

# What tells the guest apart: its name and its kernel are in its definition and nowhere in its memory;
# its command line is in both; the mark is in the page that the bench guest publishes in its memory.
NAME=nightjar-7f3a
KERNEL=plumage-5c1d.elf
WORK="workset=1M rate=20000 fill=4M"
MARK=WT-GUEST

# tellable: that guest on A.
tellable() {
	cp guest.elf $KERNEL
	WATARI_STATE_DIR=$(state_of A) WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/A "$W" run --name $NAME \
		--kernel $KERNEL --memory 64M --serial none --append "$WORK" >guest.log 2>&1 3>&- &
	until_ok 60 working A $NAME || { cat guest.log; return 1; }
}

# beside COMMAND...: in the background, as a process that teardown ends with the hosts. BESIDE is its number.
beside() {
	WATARI_RUNTIME_DIR=$BATS_TEST_TMPDIR/beside "$@" <&0 3>&- &
	BESIDE=$!
}

# way_to PORT WHAT: a relay before that port, WAY is its address, what it takes is in WHAT.*. The one
# before it ends.
way_to() {
	[ -z "${RELAY:-}" ] || { kill "$RELAY"; wait "$RELAY" || true; }
	beside "$TOOLS/relay" "$BATS_TEST_TMPDIR" "$1" "$2" >"$2.relay" 2>&1
	RELAY=$BESIDE
	until_ok 10 grep -q '^relay on ' "$2.relay" || { cat "$2.relay"; return 1; }
	WAY=$(sed -n 's/^relay on //p' "$2.relay")
}

# heard TEXT FILE...: these bytes are in one of the files.
heard() {
	LC_ALL=C grep -qaF -e "$1" "${@:2}"
}

# silent WHAT: nothing of the guest is in what was taken, and there is too little for any of it.
silent() {
	local text
	[ -e "$1.control.1.out" ] && ! ls "$1".data.* 2>/dev/null || return 1
	for text in $NAME $KERNEL "$WORK" "$MARK" resident; do
		! heard "$text" "$1".*.out "$1".*.in || { echo "heard $text in $1"; return 1; }
	done
	[ "$(cat "$1".*.out "$1".*.in | wc -c)" -lt 16384 ]
}

# refused WHAT TEXT COMMAND...: the command fails with TEXT on stderr, which is kept in WHAT.said, and
# nothing of the guest has crossed the wire; it runs on.
refused() {
	local what=$1 text=$2
	shift 2
	! "$@" >"$what.said" 2>&1 || { echo "$what: succeeded"; return 1; }
	grep -qF -e "$text" "$what.said" || { cat "$what.said"; return 1; }
	silent "$what"
	[ "$(field A $NAME state)" = running ]
}

# logged HOST TEXT: that host said so, and whose connection it was: the relay's other side.
logged() {
	until_ok 30 grep -q "refused 127.0.0.3: .*$2" "$1.log" || { cat "$1.log"; return 1; }
}

# reveals_nothing SECRET...: no process has said one of these, or a line of a private key, in what it
# printed, keeps or tells.
reveals_nothing() {
	local host file secret
	for host in A B; do
		on $host history --json >"$host.history" 2>&1 || true
		on $host list >"$host.list" 2>&1 || true
		on $host status $NAME --json >"$host.status" 2>&1 || true
	done
	for secret in "$@" $(cat ./*/key.pem 2>/dev/null | grep -v -e -----); do
		! LC_ALL=C grep -raF -l -e "$secret" A B A.state B.state ./*.log ./*.said ./*.history ./*.list \
			./*.status 2>/dev/null || { echo "a secret was said"; return 1; }
	done
	! LC_ALL=C grep -al -e 'watari-key-1' -e 'PRIVATE KEY' ./*.log ./*.said ./*.history 2>/dev/null
}

key_of() {
	sed 's/.* //' "$1"
}

@test "a target that cannot prove who it is gets no byte of a guest" {
	hosts
	credentials ca right IP:127.0.0.2
	authority strange
	credentials strange alien IP:127.0.0.2
	dated old 20200101000000Z 20210101000000Z IP:127.0.0.2
	"$W" keygen key
	"$W" keygen other
	tellable

	receiver B
	way_to "$PORT" clear
	refused clear "" on A migrate $NAME --to "$WAY" --tls here
	logged B "speaks TLS, and this end was started without"
	kill "$RECEIVER"

	receiver B --tls alien
	way_to "$PORT" alien
	refused alien "another authority" on A migrate $NAME --to "$WAY" --tls here
	kill "$RECEIVER"

	receiver B --tls there
	way_to "$PORT" name
	refused name "is not for '127.0.0.2'" on A migrate $NAME --to "$WAY" --tls here
	kill "$RECEIVER"

	receiver B --psk other
	way_to "$PORT" psk
	refused psk "has another key" on A migrate $NAME --to "$WAY" --psk key
	logged B "has another key"
	kill "$RECEIVER"

	# receive does not start with a certificate that has expired
	mkfifo keyboard
	beside openssl s_server -accept 127.0.0.1:0 -cert old/cert.pem -key old/key.pem <>keyboard >server 2>&1
	server=$BESIDE
	until_ok 10 grep -q ^ACCEPT server
	way_to "$(sed -n 's/^ACCEPT .*://p' server)" expired
	refused expired "has expired" on A migrate $NAME --to "$WAY" --tls here
	kill $server

	# something else that listens, to a source that wants TLS, a key, or neither
	beside perl -MIO::Socket::INET -e '$| = 1; $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 5);
		print $s->sockport, "\n"; while ($c = $s->accept) { print $c "220 mail.example ESMTP\r\n" }' \
		>mail 2>&1
	server=$BESIDE
	until_ok 10 test -s mail
	for how in "--tls here" "--psk key" ""; do
		way_to "$(cat mail)" "mail$(tr -dc a-z <<<"$how")"
		refused "mail$(tr -dc a-z <<<"$how")" "" on A migrate $NAME --to "$WAY" $how
	done
	kill $server
	lives A $NAME
	reveals_nothing "$(key_of key)" "$(key_of other)"
}

@test "a source that cannot prove who it is starts nothing, hears of no guest, and is named in the log" {
	hosts
	authority strange
	credentials strange alien IP:127.0.0.1
	dated old 20200101000000Z 20210101000000Z
	"$W" keygen key
	"$W" keygen other
	tellable
	start B resident --memory 64M --append "$WORK"
	before=$("$TOOLS/pids" "$BATS_TEST_TMPDIR/B")

	receiver B --tls there
	way_to "$PORT" clear
	refused clear "takes guests under TLS only" on A migrate $NAME --to "$WAY"
	logged B "does not speak TLS"
	way_to "$PORT" psk
	refused psk "was given --tls" on A migrate $NAME --to "$WAY" --psk key
	logged B "given --psk"
	for who in none alien old; do
		how=(-cert $who/cert.pem -key $who/key.pem)
		[ $who != none ] || how=()
		way_to "$PORT" $who
		timeout 20 openssl s_client -quiet -connect "$WAY" "${how[@]}" <<<"$NAME" >$who.said 2>&1 || true
		silent $who
	done
	logged B "presented no certificate"
	logged B "the certificate of the source is not signed"
	logged B "the certificate of the source has expired"
	kill "$RECEIVER"
	wait "$RECEIVER" || true

	receiver B --psk other
	way_to "$PORT" key
	refused key "has another key" on A migrate $NAME --to "$WAY" --psk key
	logged B "has another key"
	way_to "$PORT" garbage
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => $ARGV[0]); print $s "GET / HTTP/1.0\r\n\r\n";
		1 while sysread $s, $x, 4096' "$WAY"
	silent garbage
	logged B "does not speak TLS"
	kill "$RECEIVER"
	wait "$RECEIVER" || true

	# what is left on B is what was there: the processes of the one guest
	until_ok 20 same_pids B "$before"
	[ "$(on B list | grep -c resident)" -eq 1 ]
	! on B list | grep -q $NAME
	lives A $NAME
	lives B resident
	reveals_nothing "$(key_of key)" "$(key_of other)"
}

same_pids() {
	[ "$("$TOOLS/pids" "$BATS_TEST_TMPDIR/$1" | sort)" = "$(sort <<<"$2")" ]
}

# crossed WHAT FROM TO ARGS...: the guest moves from one host to the other over a relay.
crossed() {
	local what=$1 from=$2 to=$3
	shift 3
	way_to "$PORT" "$what"
	# how long it stands still is not what this is about
	on "$from" migrate $NAME --to "$WAY" --verbose --downtime-limit 5s --frozen-timeout 20s "$@" >"$what.said" 2>&1 || { cat "$what.said"; return 1; }
	lives "$to" $NAME
	ls "$what".data.*.out >/dev/null
}

# unheard WHAT TEXT...: none of these is in what was taken.
unheard() {
	local what=$1 text
	shift
	for text in "$@"; do
		! heard "$text" "$what".*.out "$what".*.in || { echo "heard $text in $what"; return 1; }
	done
}

# token_of WHAT: that of a move in clear, in hexadecimal: the 16 bytes of ACCEPT (docs/protocol.md).
token_of() {
	perl -0777 -ne 'print unpack "H*", $1 if /\x12\0\0\0\x03\0..(.{16})/s' "$1".control.1.in
}

@test "with a key nothing about a guest is readable, with --encrypt nothing of its memory either" {
	"$W" keygen key
	tellable

	# in clear: that what is looked for can be seen
	receiver B
	crossed clear A B --streams 2
	heard $NAME clear.control.*.out
	heard $KERNEL clear.control.*.out
	heard $MARK clear.data.*.out
	token=$(token_of clear)
	[ ${#token} -eq 32 ]
	# ... and the token of the data connection, which is never presented, only proven
	perl -0777 -ne 'BEGIN { $t = pack "H*", shift } exit 1 if index($_, $t) >= 0' "$token" clear.data.*.out clear.data.*.in
	kill "$RECEIVER"

	receiver A --psk key
	crossed key B A --psk key --streams 2
	heard $MARK key.data.*.out
	unheard key $NAME $KERNEL
	! heard $MARK key.control.*.out
	kill "$RECEIVER"

	receiver B --psk key --encrypt
	crossed encrypt A B --psk key --encrypt --streams 2
	unheard encrypt $NAME $KERNEL "$WORK" $MARK
	[ "$(cat encrypt.data.*.out | wc -c)" -gt $((4 << 20)) ]
	kill "$RECEIVER"

	unheard clear "$(key_of key)"
	unheard key "$(key_of key)"
	unheard encrypt "$(key_of key)"
	reveals_nothing "$(key_of key)" "$token"
}
