/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the guest's kernel can be read at the target, where it is needed for a reboot (S9).
 * Next in the flow: check_space.c.
 */
#include "hv/preflight/checks.h"

static void check_kernel(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (dst->kernel_there == PF_YES)
		pf_find(r, PF_PASS, "%s can be read there", src->kernel);
	else if (dst->kernel_there == PF_NO)
		pf_find(r, PF_WARN,
			"%s cannot be read there: the guest arrives, but a reboot ends it",
			src->kernel);
	else
		pf_find(r, PF_WARN, "whether %s can be read there is not known", src->kernel);
}

const struct pf_check pf_check_kernel = {
	.name = "kernel",
	.what = "the guest's kernel at the target, by its path",
	.why = "a guest that reboots loads its kernel again, from the host it is on",
	.mend = "copy it to the same path there",
	.flags = PF_MAY_SKIP,
	.run = check_kernel,
};
