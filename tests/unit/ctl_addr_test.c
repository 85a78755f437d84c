/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people write them are understood, and what is not one is quoted back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "hv/ctl/addr.h"

static void good_addresses_parse_and_print(void **state)
{
	static const struct {
		const char *text, *host, *printed;
		uint16_t port;
	} good[] = {
		{ "127.0.0.1:4000", "127.0.0.1", "127.0.0.1:4000", 4000 },
		{ "host.example:65535", "host.example", "host.example:65535", 65535 },
		{ "[::1]:0", "::1", "[::1]:0", 0 },
		{ "[fe80::1%eth0]:22", "fe80::1%eth0", "[fe80::1%eth0]:22", 22 },
		{ ":7", "127.0.0.1", "127.0.0.1:7", 7 },
		{ "7", "127.0.0.1", "127.0.0.1:7", 7 },
	};
	char text[CTL_ADDR_MAX];
	struct ctl_addr a;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ctl_addr_parse(good[i].text, "127.0.0.1", 0, &a, &e), 0);
		assert_string_equal(a.host, good[i].host);
		assert_int_equal(a.port, good[i].port);
		assert_string_equal(ctl_addr_format(&a, text), good[i].printed);
	}
}

static void bad_addresses_are_quoted(void **state)
{
	static const char *const bad[] = { "", ":", "host:", "host:65536", "host:-1", "host:0x10",
		"::1:4000", "[::1]", "[::1]4000", "[::1:4000", "[]:", "host:1 ", "a:b:c" };
	char longest[400];
	struct ctl_addr a;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ctl_addr_parse(bad[i], "127.0.0.1", 0, &a, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i]));
	}
	memset(longest, 'x', sizeof(longest));
	strcpy(longest + sizeof(longest) - 4, ":22");
	assert_int_equal(ctl_addr_parse(longest, NULL, 1, &a, &e), -EINVAL);
}

static void a_target_needs_a_host_and_a_port(void **state)
{
	struct ctl_addr a;
	struct err e;

	(void)state;
	assert_int_equal(ctl_addr_parse(":4000", NULL, 1, &a, &e), -EINVAL);
	assert_int_equal(ctl_addr_parse("host:0", NULL, 1, &a, &e), -EINVAL);
	assert_int_equal(ctl_addr_parse("host:1", NULL, 1, &a, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_addresses_parse_and_print),
		cmocka_unit_test(bad_addresses_are_quoted),
		cmocka_unit_test(a_target_needs_a_host_and_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
