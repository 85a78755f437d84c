/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the target can connect to the source, so that the guest can come back (S7).
 * Next in the flow: check_disks.c.
 */
#include "hv/preflight/checks.h"

static void check_way_back(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (dst->link.reached == PF_YES)
		pf_find(r, PF_PASS, "the target reached port %u, opened here for the test",
			src->link.port);
	else if (dst->link.reached == PF_NO)
		pf_find(r, PF_WARN,
			"the target did not reach port %u, opened here for the test: %s",
			src->link.port, dst->link.reach_error);
	else
		pf_find(r, PF_WARN, "whether the target reaches this host is not known");
}

const struct pf_check pf_check_way_back = {
	.name = "way-back",
	.what = "a connection from the target to a port of this host",
	.why = "a guest that cannot come back is lost to this host when the other is to be serviced",
	.mend = "let the target through to this host's ports, too",
	.flags = PF_MAY_SKIP,
	.run = check_way_back,
};
