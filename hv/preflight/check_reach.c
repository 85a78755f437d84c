/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the target answers where it was said to be. Without that nothing else can be looked at.
 * Next in the flow: check_versions.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

static void check_reach(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	char rtt[32];

	(void)dst;
	if (src->unreached[0] && !src->stranger)
		pf_find(r, PF_FAIL, "%s", src->unreached);
	else if (src->unreached[0])
		pf_find(r, PF_PASS, "it answers");
	else if (src->clock_known == PF_YES)
		pf_find(r, PF_PASS, "it answers within %s",
			duration_format(src->rtt_ns, rtt, sizeof(rtt)));
	else
		pf_find(r, PF_WARN, "it answers, but how quickly is not known");
}

const struct pf_check pf_check_reach = {
	.name = "reach",
	.what = "the target answers at the address that was given",
	.why = "a guest can move only to where somebody waits for it",
	.mend = "start 'watari receive' there, and let its port through the firewalls on the way",
	.flags = PF_BEFORE_ALL,
	.run = check_reach,
};
