/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the reading of the host's clocks (see clock.h); nothing else calls clock_gettime(). */
#include "hv/base/clock.h"

#include <time.h>

static uint64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t clock_thread_ns(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_real_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}
