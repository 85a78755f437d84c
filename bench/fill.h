/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a bench guest to come up and work. Next in the flow: campaign.h. */
#ifndef WATARI_BENCH_FILL_H
#define WATARI_BENCH_FILL_H

#include "bench/ends.h"
#include "bench/observe.h"

/*
 * Until every vCPU of the guest @o has filled its share of memory and works: how much that was and
 * how long it took. -ETIMEDOUT, -ENOTSUP and others with a sentence.
 */
int bench_fill(
	struct bench_ends *x, struct observed *o, uint64_t *bytes, uint64_t *ns, struct err *e);

#endif
