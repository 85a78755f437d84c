/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control channel: two ends with the right credentials understand each other, and every other
 * pair is told apart, in time and in one sentence at each end.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/migrate/rendezvous.h"

#define LIMIT (10 * NSEC_PER_SEC)
#define SHORT (300 * NSEC_PER_MSEC)

/* The target's half runs on a thread. */
struct pair {
	char dir[64];
	int fd[2];
	struct chan_want source, target;
	struct chan *chan[2];
	uint64_t target_ns;
	int rc;
	struct err err;
	pthread_t thread;
};

static struct chan_want want_psk(const struct pair *p, const char *name)
{
	struct chan_want w = { .how = CHAN_PSK };

	snprintf(w.path, sizeof(w.path), "%s/%s", p->dir, name);
	return w;
}

static struct chan_want want_tls(const struct pair *p, const char *name)
{
	struct chan_want w = want_psk(p, name);

	w.how = CHAN_TLS;
	return w;
}

static int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	char path[128];

	*state = p;
	strcpy(p->dir, "/tmp/watari-chan-XXXXXX");
	if (!mkdtemp(p->dir) || socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd))
		return -1;
	p->target_ns = LIMIT;
	snprintf(path, sizeof(path), "%s/key", p->dir);
	if (chan_key_make(path, NULL))
		return -1;
	snprintf(path, sizeof(path), "%s/other", p->dir);
	return chan_key_make(path, NULL);
}

static int pair_teardown(void **state)
{
	struct pair *p = *state;
	char command[128];

	chan_close(p->chan[0]);
	chan_close(p->chan[1]);
	snprintf(command, sizeof(command), "rm -r %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static void *target_main(void *arg)
{
	struct pair *p = arg;

	p->rc = rdv_welcome(&p->chan[1], p->fd[1], &p->target, p->target_ns, &p->err);
	return NULL;
}

static void target_start(struct pair *p)
{
	assert_int_equal(pthread_create(&p->thread, NULL, target_main, p), 0);
}

/* Both ends, the source meaning to reach @host. Returns what the source got. */
static int pair_open(struct pair *p, const char *host, struct err *e)
{
	int r;

	target_start(p);
	r = chan_open(&p->chan[0], p->fd[0], &p->source, host, clock_mono_ns() + LIMIT, e);
	return r;
}

/* What the target said; the source has ended, or goes on. */
static int pair_join(struct pair *p)
{
	pthread_join(p->thread, NULL);
	return p->rc;
}

static uint64_t soon(void)
{
	return clock_mono_ns() + LIMIT;
}

static void two_who_share_a_key_understand_each_other(void **state)
{
	static uint8_t big[300000], got[sizeof(big)];
	uint8_t a[CHAN_KEY_SIZE], b[CHAN_KEY_SIZE], c[CHAN_KEY_SIZE];
	struct pair *p = *state;
	struct err e = { 0 };
	char word[6];

	p->source = p->target = want_psk(p, "key");
	assert_int_equal(pair_open(p, "anywhere", &e), 0);
	assert_int_equal(pair_join(p), 0);
	assert_true(chan_secure(p->chan[0]) && chan_secure(p->chan[1]));
	assert_int_equal(chan_write(p->chan[0], "hello", 6, soon(), &e), 0);
	assert_int_equal(chan_read(p->chan[1], word, 6, soon(), &e), 0);
	assert_string_equal(word, "hello");
	/* many records, in pieces that are no records */
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t at = 0; at < sizeof(big); at += 50000) {
		assert_int_equal(chan_write(p->chan[1], big + at, 50000, soon(), &e), 0);
		for (size_t i = 0; i < 50000; i += 10000)
			assert_int_equal(chan_read(p->chan[0], got + at + i, 10000, soon(), &e), 0);
	}
	assert_memory_equal(big, got, sizeof(big));
	/* the same keys at both ends, others for another purpose */
	assert_int_equal(chan_export(p->chan[0], "EXPORTER-one", a, &e), 0);
	assert_int_equal(chan_export(p->chan[1], "EXPORTER-one", b, &e), 0);
	assert_int_equal(chan_export(p->chan[1], "EXPORTER-two", c, &e), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, c, sizeof(a));
}

static void nothing_of_what_is_said_is_on_the_wire(void **state)
{
	static const char secret[] = "the guest's name is heron";
	struct pair *p = *state;
	uint8_t raw[4096];
	struct err e = { 0 };
	ssize_t n;

	p->source = p->target = want_psk(p, "key");
	assert_int_equal(pair_open(p, "anywhere", &e), 0);
	assert_int_equal(pair_join(p), 0);
	assert_int_equal(chan_write(p->chan[0], secret, sizeof(secret), soon(), &e), 0);
	n = recv(p->fd[1], raw, sizeof(raw), MSG_PEEK);
	assert_true(n > (ssize_t)sizeof(secret));
	assert_null(memmem(raw, (size_t)n, "heron", 5));
	/* and who changes it is found out */
	n = recv(p->fd[1], raw, sizeof(raw), 0);
	raw[n / 2] ^= 1;
	assert_int_equal(send(p->fd[0], raw, (size_t)n, 0), n);
	assert_int_equal(chan_read(p->chan[1], raw, 1, soon(), &e), -EACCES);
}

static void another_key_is_refused_at_both_ends(void **state)
{
	struct pair *p = *state;
	struct err e = { 0 };

	p->source = want_psk(p, "key");
	p->target = want_psk(p, "other");
	assert_int_equal(pair_open(p, "anywhere", &e), -EACCES);
	assert_string_equal(e.msg, "the target has another key");
	assert_int_equal(pair_join(p), -EACCES);
	assert_string_equal(p->err.msg, "the source has another key");
}

static void a_source_in_clear_is_told_what_the_target_wants(void **state)
{
	struct pair *p = *state;
	struct err e = { 0 };

	p->target = want_psk(p, "key");
	assert_int_equal(pair_open(p, "anywhere", &e), 0); /* in clear there is nothing to open */
	assert_int_equal(rdv_meet(p->chan[0], 0, LIMIT, &e), -ECONNREFUSED);
	assert_string_equal(
		e.msg, "the target refused: it takes guests under TLS only: say --tls or --psk");
	assert_int_equal(pair_join(p), -EACCES);
	assert_string_equal(p->err.msg, "the peer does not speak TLS");
}

static void a_source_under_tls_is_told_that_the_target_is_not(void **state)
{
	struct pair *p = *state;
	uint64_t memory;
	struct err e = { 0 };
	struct chan clear = chan_plain(p->fd[1]);

	p->source = want_psk(p, "key");
	/* the target's half by hand: its answer waits for the source before it begins */
	rdv_refuse_send(&clear, "whatever");
	assert_int_equal(
		chan_open(&p->chan[0], p->fd[0], &p->source, "anywhere", soon(), &e), -EACCES);
	assert_non_null(strstr(e.msg, "the target does not speak TLS"));
	assert_int_equal(rdv_hello_read(&clear, &memory, LIMIT, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "the peer speaks TLS, and this end was started without"));
	close(p->fd[1]);
}

static void a_silent_peer_is_given_up_at_the_deadline(void **state)
{
	struct pair *p = *state;
	uint64_t begin = clock_mono_ns();
	struct err e = { 0 };

	p->source = p->target = want_psk(p, "key");
	p->target_ns = SHORT;
	target_start(p);
	assert_int_equal(pair_join(p), -ETIMEDOUT); /* not a byte */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd), 0);
	assert_int_equal(chan_open(&p->chan[0], p->fd[0], &p->source, "anywhere",
				 clock_mono_ns() + SHORT, &e),
		-ETIMEDOUT);
	assert_true(clock_mono_ns() - begin >= 2 * SHORT);
	assert_true(clock_mono_ns() - begin < LIMIT);
	close(p->fd[1]);
}

/* A byte now and then does not move the deadline. */
static void a_slow_peer_is_given_up_at_the_deadline(void **state)
{
	static const uint8_t head[] = { 0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3 };
	struct pair *p = *state;
	uint64_t begin = clock_mono_ns();

	p->target = want_psk(p, "key");
	p->target_ns = SHORT;
	target_start(p);
	for (unsigned i = 0;
		i < 200 && send(p->fd[0], &head[i < 11 ? i : 10], 1, MSG_NOSIGNAL) == 1; i++)
		usleep(20000);
	assert_int_equal(pair_join(p), -ETIMEDOUT);
	assert_true(clock_mono_ns() - begin < LIMIT);
	close(p->fd[0]);
}

static void noise_and_a_cut_end_the_handshake(void **state)
{
	uint64_t seed = 88172645463325252ull;
	struct pair *p = *state;

	close(p->fd[0]);
	close(p->fd[1]);
	p->target = want_psk(p, "key");
	for (int round = 0; round < 40; round++) {
		uint8_t noise[600] = { 0x16, 3, 1, 2, 83 };

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd), 0);
		for (size_t i = 5; i < sizeof(noise); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			noise[i] = (uint8_t)seed;
		}
		assert_true(send(p->fd[0], noise, (size_t)round * 15, 0) >= 0);
		shutdown(p->fd[0], SHUT_WR);
		target_start(p);
		assert_true(pair_join(p) < 0);
		assert_null(p->chan[1]);
		assert_true(p->err.msg[0] != '\0');
		close(p->fd[0]);
	}
}

/* ---- certificates ------------------------------------------------------------------------------
 */

/* An authority "ca" and two hosts "here" and "there", of 127.0.0.1 and the name "there". */
static void make_certificates(const struct pair *p)
{
	static const char script[] =
		"cd %s && exec >/dev/null 2>&1 && openssl req -x509 -newkey ed25519 -nodes -keyout ca.key "
		"-out ca.pem -subj /CN=ca -days 3 && for h in here there; do mkdir $h && openssl req -new "
		"-newkey ed25519 -nodes -keyout $h/key.pem -out $h/r -subj /CN=$h && "
		"echo subjectAltName=IP:127.0.0.1,DNS:$h >$h/x && openssl x509 -req -in $h/r -CA ca.pem "
		"-CAkey ca.key -CAcreateserial -days 3 -extfile $h/x -out $h/cert.pem && cp ca.pem $h && "
		"chmod 600 $h/key.pem || exit 1; done";
	char command[1024];

	snprintf(command, sizeof(command), script, p->dir);
	if (system(command))
		fail_msg("cannot make certificates: is openssl installed?");
}

static void certificates_are_for_an_address_or_a_name(void **state)
{
	static const struct {
		const char *host;
		int rc;
	} tries[] = { { "127.0.0.1", 0 }, { "there", 0 }, { "127.0.0.2", -EACCES },
		{ "elsewhere", -EACCES }, { "here", -EACCES }, { "::1", -EACCES } };
	struct pair *p = *state;
	char want[64];

	make_certificates(p);
	p->source = want_tls(p, "here");
	p->target = want_tls(p, "there");
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(pair_open(p, tries[i].host, &e), tries[i].rc);
		assert_int_equal(pair_join(p), tries[i].rc);
		if (tries[i].rc) {
			snprintf(want, sizeof(want), "is not for '%s'", tries[i].host);
			assert_non_null(strstr(e.msg, want));
		}
		chan_close(p->chan[0]);
		chan_close(p->chan[1]);
		p->chan[0] = p->chan[1] = NULL;
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd), 0);
	}
	close(p->fd[0]);
	close(p->fd[1]);
}

/* The source believes it is done when the target refuses: it hears of it with the first answer. */
static void a_key_in_place_of_a_certificate_is_named(void **state)
{
	struct pair *p = *state;
	struct err e = { 0 };

	make_certificates(p);
	p->source = want_psk(p, "key");
	p->target = want_tls(p, "there");
	assert_int_equal(pair_open(p, "there", &e), -EACCES);
	assert_non_null(strstr(e.msg, "presents a certificate in place of the shared key"));
	assert_int_equal(pair_join(p), -EACCES);
	assert_non_null(strstr(p->err.msg, "given --psk"));
}

/* ---- the key file -----------------------------------------------------------------------------
 */

static void a_key_file_is_this_users_alone(void **state)
{
	struct pair *p = *state;
	uint8_t key[CHAN_KEY_SIZE], again[CHAN_KEY_SIZE];
	struct chan_want w = want_psk(p, "key");
	struct err e = { 0 };

	assert_int_equal(chan_key_read(w.path, key, &e), 0);
	assert_int_equal(chan_key_read(w.path, again, &e), 0);
	assert_memory_equal(key, again, sizeof(key));
	assert_int_equal(chan_key_make(w.path, &e), -EEXIST);
	assert_int_equal(chan_want_check(&w, &e), 0);
	assert_int_equal(chmod(w.path, 0640), 0);
	assert_int_equal(chan_key_read(w.path, key, &e), -EACCES);
	assert_non_null(strstr(e.msg, "chmod 600"));
	assert_int_equal(chan_want_check(&w, &e), -EACCES);
	memset(again, 0, sizeof(again));
	assert_memory_equal(key, again, sizeof(key)); /* nothing of it is left behind */
	if (geteuid() == 0) {
		assert_int_equal(chmod(w.path, 0600), 0);
		assert_int_equal(chown(w.path, 4711, 0), 0);
		assert_int_equal(chan_key_read(w.path, key, &e), -EACCES);
		assert_non_null(strstr(e.msg, "belongs to user 4711"));
	}
}

static void what_is_no_key_file_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "x", "watari-key-1 ", "watari-key-1 00\n",
		"watari-key-2 0000000000000000000000000000000000000000000000000000000000000000\n",
		"watari-key-1 00000000000000000000000000000000000000000000000000000000000000 0\n",
		"watari-key-1 0000000000000000000000000000000000000000000000000000000000000000",
		"watari-key-1 0000000000000000000000000000000000000000000000000000000000000000\nx"
	};
	struct pair *p = *state;
	struct chan_want w = want_psk(p, "bad");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = open(w.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		uint8_t key[CHAN_KEY_SIZE];
		struct err e = { 0 };

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		close(fd);
		assert_int_equal(chan_key_read(w.path, key, &e), -EACCES);
		assert_non_null(strstr(e.msg, "is no key file"));
	}
}

static void contradicting_wishes_are_refused(void **state)
{
	struct pair *p = *state;
	struct chan_want w, key = want_psk(p, "key");
	struct err e = { 0 };

	assert_int_equal(chan_want_parse(&w, NULL, NULL, false, &e), 0);
	assert_int_equal(w.how, CHAN_PLAIN);
	assert_int_equal(chan_want_parse(&w, p->dir, key.path, false, &e), -EINVAL);
	assert_int_equal(chan_want_parse(&w, NULL, NULL, true, &e), -EINVAL);
	assert_int_equal(chan_want_parse(&w, NULL, "/nowhere/at/all", false, &e), -ENOENT);
	assert_int_equal(chan_want_parse(&w, NULL, key.path, true, &e), 0);
	assert_int_equal(w.how, CHAN_PSK);
	assert_true(w.encrypt);
	assert_string_equal(w.path, key.path);
}

int main(void)
{
#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		PAIR_TEST(two_who_share_a_key_understand_each_other),
		PAIR_TEST(nothing_of_what_is_said_is_on_the_wire),
		PAIR_TEST(another_key_is_refused_at_both_ends),
		PAIR_TEST(a_source_in_clear_is_told_what_the_target_wants),
		PAIR_TEST(a_source_under_tls_is_told_that_the_target_is_not),
		PAIR_TEST(a_silent_peer_is_given_up_at_the_deadline),
		PAIR_TEST(a_slow_peer_is_given_up_at_the_deadline),
		PAIR_TEST(noise_and_a_cut_end_the_handshake),
		PAIR_TEST(certificates_are_for_an_address_or_a_name),
		PAIR_TEST(a_key_in_place_of_a_certificate_is_named),
		PAIR_TEST(a_key_file_is_this_users_alone),
		PAIR_TEST(what_is_no_key_file_is_refused),
		PAIR_TEST(contradicting_wishes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
