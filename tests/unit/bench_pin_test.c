/* SPDX-License-Identifier: Apache-2.0 */
/* Processors as text, and a thread that stays where it was told to: bench/pin.h, bench/watch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/ends.h"
#include "bench/pin.h"
#include "bench/watch.h"

static cpu_set_t cpus(size_t lo, size_t hi)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	for (size_t i = lo; i <= hi; i++)
		CPU_SET(i, &s);
	return s;
}

static void a_list_of_ranges_is_taken_and_given_back(void **state)
{
	static const struct {
		const char *text, *same;
		int n;
	} good[] = { { "0", "0", 1 }, { "0-3,6", "0-3,6", 5 }, { "6,0-3", "0-3,6", 5 },
		{ "7-7", "7", 1 }, { "1,2,3", "1-3", 3 }, { "3,3", "3", 1 } };
	const cpu_set_t have = cpus(0, 7);
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct pin p;
		struct err e = { 0 };

		assert_int_equal(pin_parse("pin", good[i].text, &have, &p, &e), 0);
		assert_int_equal(CPU_COUNT(&p.set), good[i].n);
		assert_string_equal(pin_format(&p.set, buf, sizeof(buf)), good[i].same);
		assert_string_equal(p.text, good[i].text);
	}
}

static void what_is_no_list_is_named(void **state)
{
	static const char *const bad[] = { "", ",", "0,", ",1", "3-1", "-1", "1-", "0 1", "0x1",
		"all", "1-2-3", "0;1", "99999999999999999999999" };
	const cpu_set_t have = cpus(0, 7);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pin p;
		struct err e = { 0 };

		assert_int_equal(pin_parse("pin", bad[i], &have, &p, &e), -EINVAL);
		assert_non_null(strstr(e.msg, "--pin"));
		assert_non_null(strstr(e.msg, bad[i]));
	}
}

static void a_processor_that_is_not_there_is_named(void **state)
{
	static const struct {
		const char *text, *named;
	} bad[] = { { "0-9", "no processor 8 " }, { "12", "no processor 12 " },
		{ "1,99999", "no processor 99999 " } };
	const cpu_set_t have = cpus(0, 7);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pin p;
		struct err e = { 0 };

		assert_int_equal(pin_parse("pin", bad[i].text, &have, &p, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i].named));
		assert_non_null(strstr(e.msg, "there is 0-7"));
	}
}

static void the_observer_has_one_processor(void **state)
{
	const cpu_set_t have = cpus(0, 7);
	struct err e = { 0 };
	struct pin p;

	(void)state;
	assert_int_equal(pin_parse_one("pin-observer", "3", &have, &p, &e), 0);
	assert_true(CPU_ISSET(3, &p.set));
	assert_int_equal(pin_parse_one("pin-observer", "3-4", &have, &p, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "--pin-observer '3-4': one processor"));
}

/* A processor this test may use. */
static struct pin some(const char **text)
{
	static char buf[32];
	cpu_set_t have;
	struct pin p;
	size_t last = 0;

	pin_have(&have);
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &have) ? i : last;
	snprintf(buf, sizeof(buf), "%zu", last);
	*text = buf;
	assert_int_equal(pin_parse_one("pin", buf, &have, &p, NULL), 0);
	return p;
}

static void processes_and_the_observer_stay_where_they_are_told(void **state)
{
	const char *args[] = { "sh", "-c", "exec grep Cpus_allowed_list /proc/self/status", NULL };
	const char *text;
	const struct pin p = some(&text);
	struct bench_ends x;
	struct watch w;
	struct observed o = OBSERVED_NONE;
	struct err e = { 0 };
	char line[64], want[64];
	cpu_set_t set;
	pid_t pid;

	(void)state;
	assert_int_equal(ends_init(&x, &e), 0);
	x.pin = &p;
	struct ends_child child = ends_self(&x.end[0]);

	child.program = "sh";
	assert_int_equal(ends_spawn(&x, &child, args, &pid, &e), 0);
	while (ends_alive(&pid, "sh", NULL) == 0)
		assert_int_equal(ends_wait(&x, -1, 5, &e), 0);
	ends_last_words(x.end[0].out, line, sizeof(line));
	snprintf(want, sizeof(want), "Cpus_allowed_list:\t%s", text);
	assert_string_equal(line, want);
	ends_fini(&x);

	o.fd = memfd_create("pin-test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(o.fd, 4 << 20), 0);
	o.nregions = 1;
	o.region[0] = (struct observe_region){ .size = 4 << 20 };
	o.h.cpus = 1;
	assert_int_equal(watch_start(&w, &o, &p, &e), 0);
	assert_int_equal(pthread_getaffinity_np(w.thread, sizeof(set), &set), 0);
	assert_true(CPU_EQUAL(&set, &p.set));
	watch_free(&w);
	close(o.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_ranges_is_taken_and_given_back),
		cmocka_unit_test(what_is_no_list_is_named),
		cmocka_unit_test(a_processor_that_is_not_there_is_named),
		cmocka_unit_test(the_observer_has_one_processor),
		cmocka_unit_test(processes_and_the_observer_stay_where_they_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
