/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smaller parts of the bench against a world that is made up: QMP with a server that says
 * awkward things, two clocks, the costs of a process, a page with hostile words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/meter.h"
#include "bench/qmp.h"
#include "bench/remote.h"
#include "bench/report.h"

/* ---- QMP ---- */

/* Says its words one after the other, one a line it hears; the first without being asked. */
struct server {
	pthread_t thread;
	int fd;
	char path[64];
	const char *const *words;
};

static void server_say(int c, const char *words)
{
	size_t half = strlen(words) / 2;

	/* in two pieces: a reader must not take a part for the whole */
	assert_int_equal(send(c, words, half, MSG_NOSIGNAL), half);
	assert_int_equal(
		send(c, words + half, strlen(words + half), MSG_NOSIGNAL), strlen(words + half));
}

static void *server_main(void *arg)
{
	struct server *s = arg;
	int c = accept(s->fd, NULL, NULL);
	char byte;

	for (size_t i = 0; c >= 0 && s->words[i]; i++) {
		server_say(c, s->words[i]);
		/* a request is one object: count its braces, as it need not end in a line */
		for (int depth = 0, any = 0; s->words[i + 1] && (!any || depth);) {
			if (read(c, &byte, 1) != 1)
				break;
			any |= byte == '{';
			depth += byte == '{' ? 1 : byte == '}' ? -1 : 0;
		}
	}
	close(c);
	return NULL;
}

static void server_start(struct server *s, const char *const *words)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	s->words = words;
	snprintf(s->path, sizeof(s->path), "/tmp/bench-parts.%d", (int)getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->path);
	unlink(s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
	unlink(s->path);
}

#define GREETING "{\"QMP\": {\"version\": {}}}\n"

static void qmp_skips_events_and_returns_the_answer(void **state)
{
	static const char *const words[] = { GREETING, "{\"return\": {}}\n",
		"{\"event\": \"STOP\"}\n{\"event\": \"RESUME\"}\n{\"return\": {\"status\": \"x\"}}\n",
		NULL };
	struct server s;
	struct err e = { 0 };
	struct qmp *q;
	json_t *j = NULL;

	(void)state;
	server_start(&s, words);
	assert_int_equal(qmp_open(&q, s.path, &e), 0);
	assert_int_equal(qmp_call(q, "query-migrate", NULL, &j, &e), 0);
	assert_string_equal(json_string_value(json_object_get(j, "status")), "x");
	json_decref(j);
	qmp_close(q);
	server_end(&s);
}

static void qmp_gives_the_peers_own_words_for_a_refusal(void **state)
{
	static const char *const words[] = { GREETING, "{\"return\": {}}\n",
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such mode\"}}\n", NULL };
	struct server s;
	struct err e = { 0 };
	struct qmp *q;

	(void)state;
	server_start(&s, words);
	assert_int_equal(qmp_open(&q, s.path, &e), 0);
	assert_int_equal(
		qmp_call(q, "migrate", json_pack("{s:s}", "uri", "x"), NULL, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "no such mode"));
	qmp_close(q);
	server_end(&s);
}

static void qmp_survives_nonsense_and_an_end(void **state)
{
	static const char *const nonsense[] = { GREETING, "{\"return\": {}}\n", "]{\n", NULL };
	static const char *const nothing[] = { "\0", NULL };
	struct server s;
	struct err e = { 0 };
	struct qmp *q;

	(void)state;
	server_start(&s, nonsense);
	assert_int_equal(qmp_open(&q, s.path, &e), 0);
	assert_int_equal(qmp_call(q, "stop", NULL, NULL, &e), -EPROTO);
	qmp_close(q);
	server_end(&s);
	server_start(&s, nothing);
	assert_int_equal(qmp_open(&q, s.path, &e), -ECONNRESET);
	server_end(&s);
	assert_int_equal(qmp_open(&q, "/nowhere/qmp", &e), -ENOENT);
}

/* ---- clocks ---- */

static void the_shortest_answer_decides_between_two_clocks(void **state)
{
	struct remote_clock c = { 0 };

	(void)state;
	/* Theirs is 5000 ahead. A slow answer, its delay all on the way back: off by 450. */
	remote_clock_add(&c, 1000, 2000, 1050 + 5000);
	assert_int_equal(c.error_ns, 500);
	assert_in_range(c.offset_ns, 5000 - 500, 5000 + 500);
	remote_clock_add(&c, 3000, 3020, 3010 + 5000);
	assert_int_equal(c.offset_ns, 5000);
	assert_int_equal(c.error_ns, 10);
	remote_clock_add(&c, 4000, 4500, 4499 + 5000); /* worse than what is known */
	assert_int_equal(c.offset_ns, 5000);
}

/* ---- costs ---- */

static void the_costs_of_a_process_grow_as_it_works(void **state)
{
	struct meter m;
	volatile unsigned x = 0;

	(void)state;
	meter_start(&m, getpid());
	meter_sample(&m);
	assert_true(meter_cpu_ns(&m) < 1000000000);
	do {
		for (unsigned i = 0; i < 1000000; i++)
			x += i;
		meter_sample(&m);
	} while (meter_cpu_ns(&m) < 10000000);
	assert_true(m.peak_bytes > 100000);
	assert_int_equal(meter_vcpu_ns(&m), 0);
}

/* ---- the page ---- */

static void a_page_takes_no_words_for_markup(void **state)
{
	struct bench_series s = { 0 };
	struct campaign k = { .series = &s, .nseries = 1 };
	char path[] = "/tmp/bench-page.XXXXXX", text[16384];
	struct bench_plan plan;
	struct err e = { 0 };
	size_t n;
	FILE *f;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(bench_plan_init(&plan, &e), 0);
	k.plan = &plan;
	s.config = &plan.cases[0];
	s.sys = &bench_qemu;
	snprintf(s.label, sizeof(s.label), "<script>a&b");
	snprintf(s.refused, sizeof(s.refused), "\"<b>no</b>\"");
	snprintf(k.machine.cpu, sizeof(k.machine.cpu), "<i>");
	assert_int_equal(report_html(&k, path, &e), 0); /* nothing moved: nothing to draw */
	f = fopen(path, "r");
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(path);
	assert_non_null(strstr(text, "pinned: nothing; "));
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "<b>no"));
	assert_null(strstr(text, "<i>"));
	assert_non_null(strstr(text, "&lt;script&gt;a&amp;b"));
	assert_non_null(strstr(text, "&quot;&lt;b&gt;no"));
	bench_plan_fini(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qmp_skips_events_and_returns_the_answer),
		cmocka_unit_test(qmp_gives_the_peers_own_words_for_a_refusal),
		cmocka_unit_test(qmp_survives_nonsense_and_an_end),
		cmocka_unit_test(the_shortest_answer_decides_between_two_clocks),
		cmocka_unit_test(the_costs_of_a_process_grow_as_it_works),
		cmocka_unit_test(a_page_takes_no_words_for_markup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
