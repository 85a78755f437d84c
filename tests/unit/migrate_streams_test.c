/* SPDX-License-Identifier: Apache-2.0 */
/* How many streams `auto` is: hv/migrate/streams.h. */
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

static void speed_file(const char *dir, const char *text, uint64_t want)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/eth0/speed", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(streams_link_mbit(dir, "eth0"), want);
	unlink(path);
}

static void what_a_device_says_of_its_speed_is_read_with_care(void **state)
{
	char dir[] = "/tmp/streams-test-XXXXXX", sub[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sub, sizeof(sub), "%s/eth0", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	speed_file(dir, "100000\n", 100000);
	speed_file(dir, "-1\n", 0);
	speed_file(dir, "", 0);
	speed_file(dir, "fast\n", 0);
	assert_int_equal(streams_link_mbit(dir, "eth1"), 0);
	rmdir(sub);
	rmdir(dir);
}

/* Both ends here: no link, whatever device the address belongs to. */
static void a_connection_to_this_host_has_no_link(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);
	struct streams_facts f;

	(void)state;
	assert_int_equal(bind(l, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, len), 0);
	streams_look(c, GIB, &f);
	assert_int_equal(f.link_mbit, 0);
	assert_int_equal(f.bytes, GIB);
	assert_true(f.cpus >= 1);
	assert_int_equal(streams_choose(&f), 1);
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
		cmocka_unit_test(what_a_device_says_of_its_speed_is_read_with_care),
		cmocka_unit_test(a_connection_to_this_host_has_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
