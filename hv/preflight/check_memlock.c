/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: a transport that pins guest memory may pin it at both ends (S9). Next in the flow:
 * check_numa.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

static void memlock_end(
	const struct pf_facts *f, uint64_t need, const char *where, struct pf_result *r)
{
	char want[32], may[32];

	size_format(need, want, sizeof(want));
	if (f->memlock_known != PF_YES)
		pf_find(r, PF_WARN, "how much may be locked %s is not known", where);
	else if (f->memlock == UINT64_MAX)
		pf_find(r, PF_PASS, "no limit %s", where);
	else
		pf_find(r, f->memlock >= need ? PF_PASS : PF_WARN,
			"%s of guest memory to be locked, %s may be %s", want,
			size_format(f->memlock, may, sizeof(may)), where);
}

static void check_memlock(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (!src->pins) {
		pf_find(r, PF_PASS, "%s locks no guest memory",
			src->transport[0] ? src->transport : "the transport");
		return;
	}
	memlock_end(src, src->allocated, "here", r);
	memlock_end(dst, src->allocated, "there", r);
}

const struct pf_check pf_check_memlock = {
	.name = "memlock",
	.what = "the memory the transport has to lock, against the limit at both ends",
	.why = "RDMA registers guest memory, which locks it; beyond the limit it has to page on demand, "
	       "or fails",
	.mend = "'ulimit -l unlimited', or LimitMEMLOCK=infinity in the service that starts watari",
	.flags = PF_MAY_SKIP,
	.run = check_memlock,
};
