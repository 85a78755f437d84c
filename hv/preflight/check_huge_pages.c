/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the target has as many reserved huge pages free as the guest is made of (S9).
 * Next in the flow: check_memlock.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

static void check_huge_pages(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	char page[32];

	if (!src->page) {
		pf_find(r, PF_PASS, "the guest uses none");
		return;
	}
	size_format(src->page, page, sizeof(page));
	pf_find(r, dst->huge_free >= src->memory ? PF_PASS : PF_FAIL,
		"%llu huge pages of %s needed, %llu free there",
		(unsigned long long)(src->memory / src->page), page,
		(unsigned long long)(dst->huge_free / src->page));
}

const struct pf_check pf_check_huge_pages = {
	.name = "huge-pages",
	.what = "the reserved huge pages of the guest, against those free at the target",
	.why = "a guest of huge pages is not made of others",
	.mend = "reserve more there: 'sysctl vm.nr_hugepages=N', or for 1 GiB on the kernel's command line",
	.flags = PF_MAY_SKIP,
	.run = check_huge_pages,
};
