/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns making, writing and reading identities (see uuid.h). Must never accept another spelling than
 * its own. Next in the flow: hv/vm/owner.c.
 */
#include "hv/base/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int uuid_make(uint8_t uuid[UUID_SIZE])
{
	if (getrandom(uuid, UUID_SIZE, 0) != UUID_SIZE) {
		memset(uuid, 0, UUID_SIZE);
		return -EAGAIN;
	}
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

bool uuid_is_zero(const uint8_t uuid[UUID_SIZE])
{
	static const uint8_t zero[UUID_SIZE];

	return memcmp(uuid, zero, UUID_SIZE) == 0;
}

const char *uuid_format(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT])
{
	char *p = out;

	for (int i = 0; i < UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid[i]);
	}
	return out;
}

bool uuid_parse(const char *text, uint8_t uuid[UUID_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t got[UUID_SIZE];
	char again[UUID_TEXT];
	int n = 0;

	for (const char *p = text; *p && n < 2 * UUID_SIZE; p++) {
		const char *d = strchr(digits, *p);

		if (!d)
			continue; /* a dash, or what the comparison below finds */
		if (n % 2)
			got[n / 2] = (uint8_t)(got[n / 2] << 4 | (d - digits));
		else
			got[n / 2] = (uint8_t)(d - digits);
		n++;
	}
	if (n != 2 * UUID_SIZE || strcmp(uuid_format(got, again), text) != 0)
		return false;
	memcpy(uuid, got, UUID_SIZE);
	return true;
}
