/* SPDX-License-Identifier: Apache-2.0 */
/* What a host says of its CPUs, and how sets of them are written: hv/mem/cpus.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/mem/cpus.h"
#include "hv/mem/near.h"

static cpu_set_t set_of(const int *cpus)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	for (; *cpus >= 0; cpus++)
		CPU_SET(*cpus, &s);
	return s;
}

static void sets_are_written_as_ranges(void **state)
{
	static const struct {
		int cpus[8];
		const char *text;
	} sets[] = {
		{ { -1 }, "" },
		{ { 0, -1 }, "0" },
		{ { 0, 1, -1 }, "0-1" },
		{ { 0, 2, 3, 4, 9, -1 }, "0,2-4,9" },
		{ { 1022, 1023, -1 }, "1022-1023" },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		cpu_set_t s = set_of(sets[i].cpus);

		assert_string_equal(cpus_format(&s, buf, sizeof(buf)), sets[i].text);
	}
}

static void what_has_no_room_is_said_to_be_left_out(void **state)
{
	cpu_set_t s;
	char buf[64];

	(void)state;
	CPU_ZERO(&s);
	for (int i = 0; i < CPU_SETSIZE; i += 2)
		CPU_SET(i, &s);
	for (size_t n = 8; n <= sizeof(buf); n++) {
		memset(buf, 0x55, sizeof(buf));
		cpus_format(&s, buf, n);
		assert_true(strlen(buf) < n);
		assert_string_equal(buf + strlen(buf) - 4, ",...");
		for (size_t k = n; k < sizeof(buf); k++)
			assert_int_equal(buf[k], 0x55);
	}
}

/* A process may use CPUs that are there, its own affinity among them, and asking changes nothing.
 */
static void this_host_tells_its_cpus(void **state)
{
	cpu_set_t online, allowed, both, before, after;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(cpus_host.online(&online, &e), 0);
	assert_int_equal(cpus_host.allowed(&allowed, &e), 0);
	CPU_AND(&both, &online, &before);
	assert_true(CPU_EQUAL(&both, &before));
	CPU_AND(&both, &allowed, &before);
	assert_true(CPU_EQUAL(&both, &before));
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

/* What is allowed follows the affinity: a process kept to one CPU is told of that one. */
static void the_affinity_is_what_is_allowed(void **state)
{
	cpu_set_t before, one, allowed;
	struct err e = { 0 };
	int first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) < 2) {
		print_message("# skipped: this process may use one processor only\n");
		skip();
	}
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cpus_host.allowed(&allowed, &e), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	CPU_AND(&before, &before, &allowed);
	assert_true(CPU_EQUAL(&before, &one)); /* besides it, only what is isolated */
}

static void a_node_that_is_not_there_is_named(void **state)
{
	struct err e = { 0 };
	cpu_set_t s;

	(void)state;
	assert_int_equal(cpus_host.node(1023, &s, &e), -ENODEV);
	assert_non_null(strstr(e.msg, near_host.nodes() < 1 ? "no NUMA" : "no such NUMA node"));
	if (near_host.nodes() < 1) {
		print_message("# skipped: this kernel has no NUMA support\n");
		skip();
	}
	assert_int_equal(cpus_host.node(0, &s, &e), 0);
	assert_true(CPU_COUNT(&s) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_are_written_as_ranges),
		cmocka_unit_test(what_has_no_room_is_said_to_be_left_out),
		cmocka_unit_test(this_host_tells_its_cpus),
		cmocka_unit_test(the_affinity_is_what_is_allowed),
		cmocka_unit_test(a_node_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
