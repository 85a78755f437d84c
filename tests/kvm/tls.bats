#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who may move what: a guest moves between hosts that prove who they are, and nobody else gets a
# byte of it, starts one, or keeps those who may from moving.

load helper
load credentials

WORK="workset=4M rate=50000 fill=16M"

# logged HOST TEXT: the receiver said so, and whose connection it was.
logged() {
	until_ok 10 grep -q "refused 127.0.0.1: .*$2" "$1.log" || { cat "$1.log"; return 1; }
}

# nothing_started HOST: no process of that host but its receiver, no guest, no socket.
nothing_started() {
	until_ok 5 alone "$1" || { "$TOOLS/pids" "$BATS_TEST_TMPDIR/$1"; return 1; }
	empty "$1"
}

alone() {
	[ "$("$TOOLS/pids" "$BATS_TEST_TMPDIR/$1" | wc -w)" -eq 1 ]
}

@test "with certificates at both ends a guest moves there and back, over a network or not" {
	hosts
	start A bird --memory 128M --append "$WORK"
	receiver B --tls there; to_b=$PORT
	receiver A --tls here; to_a=$PORT
	run on A migrate bird --to "127.0.0.1:$to_b" --tls here
	echo "$output"
	[ "$status" -eq 0 ]
	lives B bird
	run on B migrate bird --to "localhost:$to_a" --tls there
	echo "$output"
	[ "$status" -eq 0 ]
	lives A bird
	# credentials are enough for an address that others reach
	WATARI_RUNTIME_DIR=$PWD/C timeout 2 "$W" receive --listen 0.0.0.0:0 --tls there >C.log 2>&1 || true
	grep -q '^listening on 0.0.0.0:' C.log
}

@test "with one key file at both ends a guest moves, and so does a definition" {
	run "$W" keygen key
	[ "$status" -eq 0 ]
	[ "$(stat -c %a key)" = 600 ]
	[[ $output != *"$(sed 's/.* //' key)"* ]]
	fails "is there already" "$W" keygen key
	start A bird --memory 128M --append "$WORK"
	receiver B --psk key
	run on A migrate bird --to "127.0.0.1:$PORT" --psk key
	echo "$output"
	[ "$status" -eq 0 ]
	lives B bird
	printf '[guest]\nname = still\nkernel = guest.elf\nmemory = 64M\n' >still.ini
	STATE=$PWD/sa on A run still.ini --detach --log out
	on A kill still
	STATE=$PWD/sa fails "takes guests under TLS only" on A migrate still --to "127.0.0.1:$PORT"
	STATE=$PWD/sa run on A migrate still --to "127.0.0.1:$PORT" --psk key
	echo "$output"
	[ "$output" = "the definition of guest still, which does not run, moved to 127.0.0.1:$PORT" ]
	! grep -q "$(sed 's/.* //' key)" ./*.log
}

@test "--encrypt: every page arrives; a target may insist on it, and rdma cannot do it" {
	"$W" keygen key
	start A bird --memory 128M --append "$WORK"
	receiver B --psk key --encrypt
	fails "only if its memory is encrypted" on A migrate bird --to "127.0.0.1:$PORT" --psk key
	run on A migrate bird --to "127.0.0.1:$PORT" --psk key --encrypt --streams 3
	echo "$output"
	[ "$status" -eq 0 ]
	lives B bird
	fails "rdma cannot encrypt" on B migrate bird --to "127.0.0.1:$PORT" --psk key --encrypt \
		--transport rdma
	lives B bird
}

@test "a source without the right credentials is refused, with the reason at both ends" {
	hosts
	authority strange
	credentials strange alien IP:127.0.0.1
	credentials ca elsewhere IP:127.0.0.2
	"$W" keygen key
	"$W" keygen other
	start A bird --memory 128M --append "$WORK"
	receiver B --tls there

	fails "takes guests under TLS only" on A migrate bird --to "127.0.0.1:$PORT"
	logged B "does not speak TLS"
	fails "another authority" on A migrate bird --to "127.0.0.1:$PORT" --tls alien
	logged B "another authority"
	fails "was given --tls" on A migrate bird --to "127.0.0.1:$PORT" --psk key
	logged B "given --psk"
	# one that does not care whom it speaks to, with certificates of another authority, or none
	printf x | timeout 5 openssl s_client -quiet -connect "127.0.0.1:$PORT" >s1 2>&1 || true
	logged B "presented no certificate"
	timeout 5 openssl s_client -quiet -connect "127.0.0.1:$PORT" -cert alien/cert.pem \
		-key alien/key.pem <<<x >s2 2>&1 || true
	logged B "the certificate of the source is not signed"
	nothing_started B
	kill "$RECEIVER"

	receiver C --tls elsewhere
	fails "is not for '127.0.0.1'" on A migrate bird --to "127.0.0.1:$PORT" --tls here
	logged C "not for the name or address"
	nothing_started C
	kill "$RECEIVER"

	receiver B --psk other
	fails "has another key" on A migrate bird --to "127.0.0.1:$PORT" --psk key
	logged B "has another key"
	fails "one end was given --tls, the other --psk" \
		on A migrate bird --to "127.0.0.1:$PORT" --tls here
	logged B "did not present the shared key"
	nothing_started B
	kill "$RECEIVER"

	receiver B
	fails "does not speak TLS" on A migrate bird --to "127.0.0.1:$PORT" --tls here
	logged B "speaks TLS, and this end was started without"
	nothing_started B
	lives A bird
}

@test "credentials out of their time are refused, this host's own and the peer's" {
	hosts
	dated old 20200101000000Z 20210101000000Z
	dated early 20900101000000Z 20910101000000Z
	start A bird --memory 128M --append "$WORK"
	receiver B --tls there
	fails "this host's certificate $PWD/old/cert.pem has expired" \
		on A migrate bird --to "127.0.0.1:$PORT" --tls old
	fails "is not valid yet" "$W" receive --listen 127.0.0.1:0 --tls early
	timeout 5 openssl s_client -quiet -connect "127.0.0.1:$PORT" -cert old/cert.pem \
		-key old/key.pem <<<x >s1 2>&1 || true
	logged B "the certificate of the source has expired"
	timeout 5 openssl s_client -quiet -connect "127.0.0.1:$PORT" -cert early/cert.pem \
		-key early/key.pem <<<x >s2 2>&1 || true
	logged B "the certificate of the source is not valid yet"
	nothing_started B
	lives A bird
}

@test "secrets that others can read, or are missing, are refused with the way to mend it" {
	hosts
	"$W" keygen key
	chmod 640 key
	fails "chmod 600 '$PWD/key'" "$W" receive --listen 127.0.0.1:0 --psk key
	chmod 644 here/key.pem
	fails "chmod 600 '$PWD/here/key.pem'" "$W" receive --listen 127.0.0.1:0 --tls here
	if [ "$(id -u)" = 0 ]; then
		chmod 600 key
		chown 12345 key
		fails "chown 0 '$PWD/key'" "$W" receive --listen 127.0.0.1:0 --psk key
	fi
	echo nonsense >empty
	chmod 600 empty
	fails "is no key file" "$W" receive --listen 127.0.0.1:0 --psk empty
	fails "cannot use --tls" "$W" receive --listen 127.0.0.1:0 --tls nowhere
	rm there/cert.pem
	fails "there/cert.pem" "$W" receive --listen 127.0.0.1:0 --tls there
	fails "exclude each other" "$W" receive --listen 127.0.0.1:0 --tls here --psk key
	fails "--encrypt needs keys" "$W" receive --listen 127.0.0.1:0 --encrypt
}

@test "a target that is not who it should be gets no byte of a guest" {
	hosts
	authority strange
	credentials strange alien IP:127.0.0.1
	start A bird --memory 128M --append "$WORK"
	tail -f /dev/null | openssl s_server -accept 127.0.0.1:0 -cert alien/cert.pem \
		-key alien/key.pem -naccept 1 >server 2>&1 3>&- &
	until_ok 10 grep -q ^ACCEPT server
	port=$(sed -n 's/^ACCEPT .*://p' server)
	fails "the certificate of the target" on A migrate bird --to "127.0.0.1:$port" --tls here
	! grep -qa bird server
	lives A bird
}

# resident: KiB of memory that the receiver has.
resident() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$RECEIVER/status"
}

@test "thousands of connections, silent, slow or loud, do not keep a guest from moving" {
	"$W" keygen key
	start A bird --memory 128M --append "$WORK"
	receiver B --psk key
	begin=$SECONDS
	# the first few use what the process has not used before
	perl "$TOOLS/crowd" "$PORT" 20 >crowd.log 2>&1
	until_ok 30 grep -q 'refused 127.0.0.1' B.log
	before=$(resident)
	perl "$TOOLS/crowd" "$PORT" 2000 >crowd.log 2>&1 3>&- &
	crowd=$!
	until_ok 30 grep -q '^500$' crowd.log
	tries=0
	until on A migrate bird --to "127.0.0.1:$PORT" --psk key; do
		tries=$((tries + 1))
		[ $tries -lt 3 ]
	done
	echo "moved after $tries failures"
	lives B bird
	[ "$(ls "/proc/$RECEIVER/fd" | wc -l)" -lt 200 ]
	wait $crowd
	grep -q '^done' crowd.log
	# none of them costs memory, and the log counts them: at most ten lines of one peer in ten seconds
	after=$(resident)
	echo "VmRSS $before KiB before 2000 connections, $after KiB after"
	[ $((after - before)) -le 1024 ]
	until_ok 30 grep -qE '[0-9]+ more refusals of 127.0.0.1 in the last 10 s' B.log
	echo "$(wc -l <B.log) lines of log"
	[ "$(grep -c 'refused 127.0.0.1: ' B.log)" -le $((10 * (2 + (SECONDS - begin) / 10))) ]
	kill -0 "$RECEIVER"
	# who knocks by then is told of in full again
	until_ok 30 alone_is_told
}

alone_is_told() {
	printf 'GET / ' | timeout 10 openssl s_client -quiet -connect "127.0.0.1:$PORT" >/dev/null 2>&1
	tail -n 3 B.log | grep -q 'refused 127.0.0.1: .*shared key'
}

@test "a peer that sends a byte a second is cut off" {
	"$W" keygen key
	receiver B --psk key
	begin=$SECONDS
	perl "$TOOLS/crowd" "$PORT" slow >slow.log
	[ $((SECONDS - begin)) -le 9 ]
	grep -q '^cut off after' slow.log
	logged B "does not answer"
	nothing_started B
}
