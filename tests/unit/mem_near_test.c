/* SPDX-License-Identifier: Apache-2.0 */
/* A copying thread goes to its node and comes back: hv/mem/near.h, on a host of two nodes that is
 * not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>

#include <cmocka.h>

#include "hv/mem/near.h"

static cpu_set_t mine; /* what this thread may use; set before each test */

static int first_cpu(void)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &mine))
			return i;
	return -1;
}

static int one_node(void)
{
	return 1;
}

static int two_nodes(void)
{
	return 2;
}

/* Node 0 has the first processor, node 1 only ones that this thread must not use; no node 2. */
static int fake_cpus(int node, cpu_set_t *out)
{
	CPU_ZERO(out);
	if (node > 1)
		return -ENODEV;
	for (int i = 0; node == 1 && i < CPU_SETSIZE; i++)
		if (!CPU_ISSET(i, &mine))
			CPU_SET(i, out);
	if (node == 0)
		CPU_SET(first_cpu(), out);
	return 0;
}

static const struct near_host small = { one_node, fake_cpus }, fake = { two_nodes, fake_cpus };

static int setup(void **state)
{
	(void)state;
	return sched_getaffinity(0, sizeof(mine), &mine);
}

static cpu_set_t now(void)
{
	cpu_set_t s;

	assert_int_equal(sched_getaffinity(0, sizeof(s), &s), 0);
	return s;
}

static void memory_on_one_node_decides(void **state)
{
	(void)state;
	assert_int_equal(near_choose(1u << 3, NEAR_ANYWHERE), 3);
	assert_int_equal(near_choose(1u << 3, 0), 3);
	assert_int_equal(near_choose(1ull << 63, 1), 63);
}

static void else_the_device_does_if_any_memory_is_there(void **state)
{
	(void)state;
	assert_int_equal(near_choose(0, 1), 1);
	assert_int_equal(near_choose(0x6, 1), 1);
	assert_int_equal(near_choose(0x6, 0), NEAR_ANYWHERE);
	assert_int_equal(near_choose(0, NEAR_ANYWHERE), NEAR_ANYWHERE);
	assert_int_equal(near_choose(0x6, 64), NEAR_ANYWHERE);
}

static void a_thread_goes_to_its_node_and_comes_back(void **state)
{
	struct near n;
	cpu_set_t s;

	(void)state;
	if (CPU_COUNT(&mine) < 2) {
		print_message("# skipped: this process may use one processor only\n");
		skip();
	}
	assert_true(near_enter(&n, &fake, 0));
	s = now();
	assert_int_equal(CPU_COUNT(&s), 1);
	assert_true(CPU_ISSET(first_cpu(), &s));
	near_leave(&n);
	s = now();
	assert_true(CPU_EQUAL(&s, &mine));
	near_leave(&n); /* once more does nothing */
	s = now();
	assert_true(CPU_EQUAL(&s, &mine));
}

static void what_cannot_be_near_stays_where_it_is(void **state)
{
	const struct near_host *const hosts[] = { &small, &fake, &fake, &fake };
	const int nodes[] = { 0, NEAR_ANYWHERE, 1, 2 };
	struct near n;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		cpu_set_t s;

		assert_false(near_enter(&n, hosts[i], nodes[i]));
		s = now();
		assert_true(CPU_EQUAL(&s, &mine));
		near_leave(&n);
	}
}

/* The real host: whatever it has, every node's processors can be told. */
static void this_host_tells_its_nodes(void **state)
{
	cpu_set_t s;

	(void)state;
	if (near_host.nodes() < 1) {
		print_message("# skipped: this kernel has no NUMA support\n");
		skip();
	}
	assert_int_equal(near_host.cpus(0, &s), 0);
	assert_true(near_host.nodes() > 1 || CPU_COUNT(&s) >= CPU_COUNT(&mine));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_on_one_node_decides, setup),
		cmocka_unit_test_setup(else_the_device_does_if_any_memory_is_there, setup),
		cmocka_unit_test_setup(a_thread_goes_to_its_node_and_comes_back, setup),
		cmocka_unit_test_setup(what_cannot_be_near_stays_where_it_is, setup),
		cmocka_unit_test_setup(this_host_tells_its_nodes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
