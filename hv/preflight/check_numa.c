/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the NUMA nodes that the guest is bound to have memory at the target (S9).
 * Next in the flow: check_nets.c.
 */
#include "hv/preflight/checks.h"

static void check_numa(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	uint64_t missing = src->nodes & ~dst->nodes_here;

	if (!src->nodes)
		pf_find(r, PF_PASS, "the guest is bound to none");
	else if (!dst->nodes_here)
		pf_find(r, PF_WARN, "which NUMA nodes the target has is not known");
	else if (!missing)
		pf_find(r, PF_PASS, "the target has every node that the guest is bound to");
	for (unsigned n = 0; dst->nodes_here && n < 64; n++) {
		if (missing >> n & 1)
			pf_find(r, PF_FAIL,
				"the guest is bound to NUMA node %u, the target has none", n);
	}
}

const struct pf_check pf_check_numa = {
	.name = "numa",
	.what = "the NUMA nodes of the guest's definition, against those with memory at the target",
	.why = "memory cannot be bound to a node that is not there",
	.mend = "move to a host with such nodes, or start the guest without numa=",
	.flags = PF_MAY_SKIP,
	.run = check_numa,
};
