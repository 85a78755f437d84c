/* SPDX-License-Identifier: Apache-2.0 */
/* Announcements, byte for byte as RFC 826, RFC 903 and RFC 5227 lay them out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/dev/announce.h"

static const uint8_t mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

static void a_rarp_request_for_oneself(void **state)
{
	static const uint8_t want[ANNOUNCE_SIZE] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* to everybody */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* from the guest */
		0x80, 0x35,                         /* RARP */
		0x00, 0x01,                         /* hardware space: Ethernet */
		0x08, 0x00,                         /* protocol space: IPv4 */
		0x06, 0x04,                         /* lengths of their addresses */
		0x00, 0x03,                         /* request reverse */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* source hardware address */
		0x00, 0x00, 0x00, 0x00,             /* source protocol address: undefined */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* target hardware address: one's own */
		0x00, 0x00, 0x00, 0x00,             /* target protocol address: undefined */
	};
	uint8_t frame[ANNOUNCE_SIZE];

	(void)state;
	announce_rarp(frame, mac);
	assert_memory_equal(frame, want, sizeof(want));
}

static void an_arp_request_that_claims_no_address(void **state)
{
	static const uint8_t want[ANNOUNCE_SIZE] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* to everybody */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* from the guest */
		0x08, 0x06,                         /* ARP */
		0x00, 0x01, 0x08, 0x00, 0x06, 0x04, /* Ethernet, IPv4 */
		0x00, 0x01,                         /* request */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* sender hardware address */
		0x00, 0x00, 0x00, 0x00, /* sender protocol address: none, as in a probe */
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* target hardware address: what is asked for */
		0x00, 0x00, 0x00, 0x00,             /* target protocol address: the sender's */
	};
	uint8_t frame[ANNOUNCE_SIZE];

	(void)state;
	announce_arp(frame, mac);
	assert_memory_equal(frame, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rarp_request_for_oneself),
		cmocka_unit_test(an_arp_request_that_claims_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
