/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns MAC addresses as text and as a hash (see mac.h). Must never change what mac_from_name()
 * gives: running guests have these addresses.
 * Next in the flow: virtio_net.c.
 */
#include "hv/dev/mac.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int mac_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *text, struct mac *out, struct err *e)
{
	struct mac m = { 0 };
	bool good = strlen(text) == MAC_TEXT_MAX - 1;

	for (int i = 0; good && i < MAC_SIZE; i++) {
		int hi = mac_digit(text[3 * i]), lo = mac_digit(text[3 * i + 1]);
		char after = text[3 * i + 2];

		good = hi >= 0 && lo >= 0 && after == (i < MAC_SIZE - 1 ? ':' : '\0');
		m.b[i] = (uint8_t)(hi << 4 | lo);
	}
	if (!good)
		return err_set(
			e, -EINVAL, "'%.64s' is no MAC address such as 02:00:00:12:34:56", text);
	if (m.b[0] & 1)
		return err_set(e, -EINVAL,
			"MAC address %s is a group's: the first byte must be even", text);
	if (memcmp(&m, &(struct mac){ 0 }, sizeof(m)) == 0)
		return err_set(e, -EINVAL, "MAC address %s is nobody's", text);
	*out = m;
	return 0;
}

const char *mac_format(const struct mac *m, char text[MAC_TEXT_MAX])
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		m->b[3], m->b[4], m->b[5]);
	return text;
}

/* FNV-1a, 64 bits; the NUL is hashed too, so that "a","bc" and "ab","c" differ. */
static uint64_t mac_hash(uint64_t h, const char *s)
{
	size_t n = strlen(s) + 1;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3ull;
	return h;
}

struct mac mac_from_name(const char *guest, const char *card)
{
	uint64_t h = mac_hash(mac_hash(0xcbf29ce484222325ull, guest), card);
	struct mac m = { .b = { 0x02 } };

	h ^= h >> 40; /* the upper bits of FNV are the better mixed ones */
	for (int i = 1; i < MAC_SIZE; i++)
		m.b[i] = (uint8_t)(h >> (8 * (i - 1)));
	return m;
}
