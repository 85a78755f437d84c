/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what the far end of `watari bench transport` takes from the wire before it starts a
 * program, and what is read of that program's output: the first byte picks. A line that is let
 * through is within its bounds, and is the same when it is written and read once more.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/perftest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bench guest is embedded by the build; nothing here starts one. */
extern const char bench_guest_elf[], bench_guest_elf_end[];
const char bench_guest_elf[1], bench_guest_elf_end[1];

static void fuzz_line(const char *text)
{
	struct perftest_ask ask, again;
	char line[128];
	struct err e;

	if (perftest_line(text, &ask, &e) < 0)
		return;
	if (ask.put < 4096 || ask.put > 1u << 20 || ask.streams < 1 ||
		ask.streams > PERFTEST_STREAMS_MAX || ask.writes > PERFTEST_WRITES_MAX)
		abort();
	snprintf(line, sizeof(line), PERFTEST_WORD "%" PRIu32 " %" PRIu32 " %" PRIu32, ask.put,
		ask.streams, ask.writes);
	if (perftest_line(line, &again, &e) < 0 || memcmp(&ask, &again, sizeof(ask)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;
	double v;
	struct err e;

	if (size == 0 || !(text = strndup((const char *)data + 1, size - 1)))
		return 0;
	if (data[0] & 1)
		fuzz_line(text);
	else if (perftest_parse(text, 65536, &v, &e) == 0 && !(v > 0))
		abort();
	free(text);
	return 0;
}
