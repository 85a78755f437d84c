/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the guest's memory fits what the target has free (S9). Next in the flow:
 * check_huge_pages.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

static void check_memory(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	char need[32], have[32];

	size_format(src->memory, need, sizeof(need));
	size_format(dst->available, have, sizeof(have));
	if (src->page)
		pf_find(r, PF_PASS, "the guest's memory is of reserved pages: see huge-pages");
	else if (!dst->available)
		pf_find(r, PF_WARN, "what the target has free is not known");
	else if (src->memory <= dst->available)
		pf_find(r, PF_PASS, "%s needed, %s available there", need, have);
	else if (dst->overcommit == PF_YES)
		pf_find(r, PF_WARN, "%s needed, %s available there, and its receiver overcommits",
			need, have);
	else
		pf_find(r, PF_FAIL, "%s needed, %s available there", need, have);
}

const struct pf_check pf_check_memory = {
	.name = "memory",
	.what = "the guest's memory, against what the target has available",
	.why = "a host without memory kills a process, and that may be this guest",
	.mend = "free memory there, shrink the guest by 'watari balloon', or accept the risk by 'watari "
		"receive --overcommit'",
	.flags = PF_MAY_SKIP,
	.run = check_memory,
};
