/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the memory of warm.h. Must never hold it during a move: it is the target's by then.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/warm.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARM_STEP  (256ull << 20) /* between two looks at whether to give up */
#define WARM_SHORT 16 /* a kept file may lack this part, which its guest never touched */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int warm_fill(struct warm *w, size_t len, struct bench_ends *ends, struct err *e)
{
	int rc = 0;

	if ((w->mem && w->len == len) || (w->kept && w->bytes >= len - len / WARM_SHORT))
		return 0;
	warm_release(w);
	w->mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->mem == MAP_FAILED) {
		w->mem = NULL;
		return err_errno(e, "cannot hold memory for the target");
	}
	w->len = len;
	/* Large pages only because they take less time to touch. */
	madvise(w->mem, len, MADV_HUGEPAGE);
	for (size_t at = 0; rc == 0 && at < len; at += WARM_STEP) {
		size_t n = len - at < WARM_STEP ? len - at : WARM_STEP;

		if (madvise((char *)w->mem + at, n, MADV_POPULATE_WRITE) < 0)
			rc = err_errno(e, "cannot touch memory for the target");
		else
			rc = ends_wait(ends, -1, 0, e);
	}
	if (rc < 0)
		warm_release(w);
	return rc;
}

void warm_keep(struct warm *w, int fd)
{
	struct stat st;

	warm_release(w);
	if (fstat(fd, &st) < 0)
		st.st_blocks = 0; /* then it counts for nothing */
	*w = (struct warm){ .kept = true, .fd = fd, .bytes = (uint64_t)st.st_blocks * 512 };
}

void warm_release(struct warm *w)
{
	if (w->mem)
		munmap(w->mem, w->len);
	if (w->kept)
		close(w->fd);
	*w = (struct warm){ 0 };
}
