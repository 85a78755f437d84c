/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory kept warm for the target. Where this machine is itself a guest, memory that nobody has
 * touched for a while may have been taken back underneath, and the first touch of a page then costs
 * several times what it costs otherwise. Which of the systems meets such pages is chance, so the
 * bench holds as much memory as a target needs, touched, and lets go of it right before a move.
 * What the guest has just left is such memory: it is kept as it is. Only if there is none is any
 * touched for this. Next in the flow: move.h.
 */
#ifndef WATARI_BENCH_WARM_H
#define WATARI_BENCH_WARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/ends.h"
#include "hv/base/err.h"

/* All zero: nothing is held. */
struct warm {
	void *mem; /* touched for this, */
	size_t len;
	bool kept; /* or the memory file that a guest has left, with */
	int fd;
	uint64_t bytes; /* allocated */
};

/*
 * Holds @len bytes, touched; fine if it does so already. -ENOMEM, or -ECANCELED after a signal.
 * Takes seconds a gigabyte where memory is cold.
 */
int warm_fill(struct warm *w, size_t len, struct bench_ends *ends, struct err *e);
/* Takes over memory file @fd, in place of what is held. */
void warm_keep(struct warm *w, int fd);
/* Lets go of it: the next that allocates gets these pages. */
void warm_release(struct warm *w);

#endif
