/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints how fast this machine's TSC ticks, in kHz: the best of several looks at it beside the
 * monotonic clock. An emulated host sees this very counter, but would measure it against emulated
 * timers, and on a crowded machine be wrong by as much as a factor of six. Next in the flow:
 * tests/lab/lib.sh tells both hosts of a pair.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES 20

static uint64_t mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Both clocks at one time: of several readings the one that took least. */
static void both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc(), now = mono_ns(), after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = before + best / 2;
		*ns = now;
	}
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	uint64_t tsc0 = 0, ns0 = 0, tsc1 = 0, ns1 = 0;

	both(&tsc0, &ns0);
	nanosleep(&pause, NULL);
	both(&tsc1, &ns1);
	printf("%llu\n", (unsigned long long)((double)(tsc1 - tsc0) * 1e6 / (double)(ns1 - ns0)));
	return 0;
}
