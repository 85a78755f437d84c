/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine a measurement ran on and what else it was doing, for the head of every report.
 * Next in the flow: campaign.h.
 */
#ifndef WATARI_BENCH_MACHINE_H
#define WATARI_BENCH_MACHINE_H

#include <stdint.h>

struct machine {
	char cpu[96], kernel[96], kvm[80], software[64], when[32];
	unsigned cpus;
	uint64_t memory, available; /* bytes */
	double load1;               /* when it began: what ran beside it */
	double others;              /* processors that others kept busy in a tenth of a second */
};

void machine_look(struct machine *m);

#endif
