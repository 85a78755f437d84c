/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes block_record_parse(): what lies beside an image is whoever's that may write there. What is
 * taken for a record is, byte for byte, what this program writes for it; the input counts as it is
 * and filled up to a record's size. And nothing in it makes a copy the owner whose identity or
 * epoch is another.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/dev/block_own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct block_record *r)
{
	struct block_owner expected = r->owner;

	for (int lock = 0; lock <= BLOCK_OWN_LOCK_ELSEWHERE; lock++) {
		for (uint64_t less = 1; less <= 3;
			less++) { /* ours would be the next epoch: 1 less */
			bool mine = less > 1;

			expected.epoch = r->owner.epoch - less;
			if (block_own_judge((enum block_own_lock)lock, 0, r, mine, &expected) !=
				BLOCK_OWN_DENIED)
				abort();
		}
		expected.epoch = r->owner.epoch;
		expected.uuid[0] ^= 1;
		if (block_own_judge((enum block_own_lock)lock, 0, r, true, &expected) !=
			BLOCK_OWN_DENIED)
			abort();
		expected.uuid[0] ^= 1;
	}
}

static void parse(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), again[BLOCK_RECORD_SIZE]; /* + 1: never of no size */
	struct block_record r;

	if (!copy)
		return;
	memcpy(copy, data, size);
	if (block_record_parse(copy, size, &r)) {
		block_record_format(again, &r);
		if (size < sizeof(again) || memcmp(copy, again, sizeof(again)) != 0)
			abort();
		judge(&r);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[BLOCK_RECORD_SIZE];

	parse(data, size);
	if (size < sizeof(whole)) {
		memset(whole, ' ', sizeof(whole));
		memcpy(whole, data, size);
		whole[sizeof(whole) - 1] = '\n';
		parse(whole, sizeof(whole));
	}
	return 0;
}
