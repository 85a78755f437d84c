/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: no guest of that name lives at the target (S9). Next in the flow: check_kernel.c.
 */
#include "hv/preflight/checks.h"

static void check_name(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (dst->name_free == PF_YES)
		pf_find(r, PF_PASS, "'%s' is free there", src->guest);
	else if (dst->name_free == PF_NO)
		pf_find(r, PF_FAIL, "%s", dst->name_error);
	else if (dst->name_error[0])
		pf_find(r, PF_WARN, "%s", dst->name_error);
	else
		pf_find(r, PF_WARN, "whether '%s' is free there is not known", src->guest);
}

const struct pf_check pf_check_name = {
	.name = "name",
	.what = "the guest's name, against those that live at the target",
	.why = "a host has one guest of a name",
	.mend = "stop or move the guest there that has the name",
	.run = check_name,
};
