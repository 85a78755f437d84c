/* SPDX-License-Identifier: Apache-2.0 */
/* How many streams `auto` is, and what is known of the link: hv/migrate/streams.h, link.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/mem/near.h"
#include "hv/migrate/link.h"
#include "hv/migrate/streams.h"

#define GIB (1ull << 30)

static unsigned choose(unsigned cpus, uint64_t mbit, uint64_t bytes)
{
	return streams_choose(&(struct streams_facts){ cpus, mbit, bytes });
}

static void a_link_that_one_stream_fills_gets_one(void **state)
{
	(void)state;
	assert_int_equal(choose(64, 1000, 16 * GIB), 1);
	assert_int_equal(choose(64, 10000, 16 * GIB), 1);
	assert_int_equal(choose(64, 25000, 16 * GIB), 1);
}

static void a_faster_link_gets_one_for_every_25_gbit(void **state)
{
	(void)state;
	assert_int_equal(choose(64, 40000, 16 * GIB), 2);
	assert_int_equal(choose(64, 100000, 16 * GIB), 4);
	assert_int_equal(choose(64, 200000, 16 * GIB), 8);
	assert_int_equal(choose(64, 800000, 16 * GIB), STREAMS_AUTO_MAX);
}

static void not_more_than_half_the_processors(void **state)
{
	(void)state;
	assert_int_equal(choose(4, 200000, 16 * GIB), 2);
	assert_int_equal(choose(2, 200000, 16 * GIB), 1);
	assert_int_equal(choose(1, 200000, 16 * GIB), 1);
	assert_int_equal(choose(0, 200000, 16 * GIB), 1);
}

static void a_small_guest_and_an_unknown_link_get_one(void **state)
{
	(void)state;
	assert_int_equal(choose(64, 100000, GIB - 1), 1);
	assert_int_equal(choose(64, 0, 16 * GIB), 1);
}

/* What a device under @dir says if its file @name holds @text. */
static struct link said(const char *dir, const char *name, const char *text)
{
	struct link l;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/eth0/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	link_read(dir, "eth0", &l);
	unlink(path);
	return l;
}

static void what_a_device_says_of_itself_is_read_with_care(void **state)
{
	char dir[] = "/tmp/streams-test-XXXXXX", eth[64], device[80];
	struct link l;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(eth, sizeof(eth), "%s/eth0", dir);
	snprintf(device, sizeof(device), "%s/device", eth);
	assert_int_equal(mkdir(eth, 0700), 0);
	assert_int_equal(mkdir(device, 0700), 0);
	assert_int_equal(said(dir, "speed", "100000\n").mbit, 100000);
	assert_int_equal(said(dir, "speed", "100000\n").node, NEAR_ANYWHERE);
	assert_int_equal(said(dir, "speed", "-1\n").mbit, 0);
	assert_int_equal(said(dir, "speed", "").mbit, 0);
	assert_int_equal(said(dir, "speed", "fast\n").mbit, 0);
	assert_int_equal(said(dir, "device/numa_node", "1\n").node, 1);
	assert_int_equal(said(dir, "device/numa_node", "-1\n").node, NEAR_ANYWHERE);
	assert_int_equal(said(dir, "device/numa_node", "4096\n").node, NEAR_ANYWHERE);
	link_read(dir, "eth1", &l);
	assert_int_equal(l.mbit, 0);
	assert_int_equal(l.node, NEAR_ANYWHERE);
	rmdir(device);
	rmdir(eth);
	rmdir(dir);
}

/* Both ends here: no link, whatever device the address belongs to. */
static void a_connection_to_this_host_has_no_link(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);
	struct link k;

	(void)state;
	assert_int_equal(bind(l, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, len), 0);
	link_look(c, &k);
	assert_int_equal(k.mbit, 0);
	assert_int_equal(k.node, NEAR_ANYWHERE);
	assert_true(streams_cpus() >= 1);
	close(c);
	close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_one_stream_fills_gets_one),
		cmocka_unit_test(a_faster_link_gets_one_for_every_25_gbit),
		cmocka_unit_test(not_more_than_half_the_processors),
		cmocka_unit_test(a_small_guest_and_an_unknown_link_get_one),
		cmocka_unit_test(what_a_device_says_of_itself_is_read_with_care),
		cmocka_unit_test(a_connection_to_this_host_has_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
