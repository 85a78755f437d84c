/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints how many kHz this machine's time stamp counter has. An emulated host reads the same
 * counter, and on a machine with more work than processors it measures it wrong, by several times:
 * its clock then runs that much too fast. So it is told (tests/lab/lib.sh). Must never measure
 * while it was not running: of many looks it takes those that took least. Next in the flow:
 * lab_host_start gives it to the host's kernel as tsc_early_khz.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define LOOKS 200

/* The counter and the time of one moment. */
static void look(uint64_t *ticks, uint64_t *ns)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < LOOKS; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec t;

		clock_gettime(CLOCK_MONOTONIC, &t);
		after = __rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		*ticks = before + least / 2;
		*ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	}
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 300000000 };
	uint64_t t0 = 0, n0 = 0, t1 = 0, n1 = 0;

	look(&t0, &n0);
	nanosleep(&pause, NULL);
	look(&t1, &n1);
	printf("%.0f\n", (double)(t1 - t0) * 1e6 / (double)(n1 - n0));
	return 0;
}
