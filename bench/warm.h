/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory kept warm for the target. Where this machine is itself a guest, memory that nobody has
 * touched for a while may have been taken back underneath, and the first touch of a page then costs
 * several times what it costs otherwise. Which of the systems meets such pages is chance, so the
 * bench holds as much memory as a target needs, touched, and lets go of it right before a move.
 * Next in the flow: move.h.
 */
#ifndef WATARI_BENCH_WARM_H
#define WATARI_BENCH_WARM_H

#include <stddef.h>

#include "bench/ends.h"
#include "hv/base/err.h"

/* All zero: nothing is held. */
struct warm {
	void *mem;
	size_t len;
};

/*
 * Holds @len bytes, touched; fine if it does so already. -ENOMEM, or -ECANCELED after a signal.
 * Takes seconds a gigabyte where memory is cold.
 */
int warm_fill(struct warm *w, size_t len, struct bench_ends *ends, struct err *e);
/* Lets go of it: the next that allocates gets these pages. */
void warm_release(struct warm *w);

#endif
