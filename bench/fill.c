/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the wait of fill.h. Must never wait for ever: a guest that makes no progress is an error.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/fill.h"

#include <errno.h>

#include "bench/guest/page.h"
#include "hv/base/clock.h"

#define FILL_REPORT_NS (60 * NSEC_PER_SEC) /* from the start to the guest's report */
#define FILL_POLL_MS   5
#define FILL_SLOWEST   (20ull << 20) /* bytes a second: slower is taken for a hang */

static int fill_report(struct bench_ends *x, struct observed *o, struct err *e)
{
	uint64_t end = clock_mono_ns() + FILL_REPORT_NS;
	int rc;

	while ((rc = observe_header(o, e)) == -EAGAIN && clock_mono_ns() < end) {
		rc = ends_wait(x, -1, FILL_POLL_MS, e);
		if (rc < 0)
			break;
	}
	if (rc == 0 && o->h.tsc_khz == 0)
		rc = err_set(e, -ENOTSUP, "the guest cannot find out how fast its clock ticks");
	return rc;
}

int bench_fill(
	struct bench_ends *x, struct observed *o, uint64_t *bytes, uint64_t *ns, struct err *e)
{
	uint64_t start = clock_mono_ns(), limit;
	int rc = fill_report(x, o, e);

	if (rc < 0)
		return rc;
	*bytes = o->h.fill_pages * BENCH_PAGE_SIZE;
	rc = observe_populate(o, e);
	limit = start + FILL_REPORT_NS + *bytes / FILL_SLOWEST * NSEC_PER_SEC;
	while (rc == 0 && !observe_all(o, BENCH_STATE_RUNNING)) {
		if (clock_mono_ns() > limit)
			return err_set(
				e, -ETIMEDOUT, "the guest takes too long to fill its memory");
		rc = ends_wait(x, -1, FILL_POLL_MS, e);
	}
	*ns = clock_mono_ns() - start;
	if (rc == 0)
		rc = observe_header(o, e); /* now with the number of vCPUs that work */
	if (rc == 0 && o->h.cpus != o->h.cpus_wanted)
		rc = err_set(e, -EIO, "only %u of the guest's %u vCPUs came up",
			(unsigned)o->h.cpus, (unsigned)o->h.cpus_wanted);
	return rc;
}
