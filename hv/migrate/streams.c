/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the number of streams that `auto` stands for (see streams.h). Must never fail: what is not
 * known makes it one stream.
 * Next in the flow: move.c.
 */
#include "hv/migrate/streams.h"

#include <sched.h>

unsigned streams_choose(const struct streams_facts *f)
{
	uint64_t want = (f->link_mbit + STREAMS_LINK_MBIT - 1) / STREAMS_LINK_MBIT;

	if (want > f->cpus / 2)
		want = f->cpus / 2;
	if (want > STREAMS_AUTO_MAX)
		want = STREAMS_AUTO_MAX;
	if (want < 1 || f->bytes < STREAMS_BYTES_LEAST)
		want = 1;
	return (unsigned)want;
}

unsigned streams_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}
