/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the two hosts' clocks agree, as measured over the connection (S10): the offset of the
 * quickest of several exchanges, true within half its round trip. Next in the flow:
 * check_time_sync.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

#define CLOCK_MOST_NS 500000000ull

static void check_clock(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	uint64_t apart =
		src->offset_ns < 0 ? 0 - (uint64_t)src->offset_ns : (uint64_t)src->offset_ns;
	uint64_t within = src->rtt_ns / 2;
	char a[32], b[32];

	(void)dst;
	if (src->clock_known != PF_YES) {
		pf_find(r, PF_WARN, "the offset of the clocks was not measured");
		return;
	}
	duration_format(apart, a, sizeof(a));
	duration_format(within, b, sizeof(b));
	pf_find(r, apart > CLOCK_MOST_NS || within > CLOCK_MOST_NS ? PF_WARN : PF_PASS,
		"the target's clock is %s %s, give or take %s", a,
		src->offset_ns < 0 ? "behind" : "ahead", b);
}

const struct pf_check pf_check_clock = {
	.name = "clock",
	.what = "the two hosts' clocks, by the quickest of several exchanges over the connection",
	.why = "the guest's own time is right after a move all the same, but logs, certificates and leases "
	       "of the hosts go by theirs",
	.mend = "let both hosts follow one time source by NTP",
	.flags = PF_MAY_SKIP,
	.run = check_clock,
};
