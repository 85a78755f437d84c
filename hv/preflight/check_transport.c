/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: there is a transport that both ends can use. Next in the flow: check_cpu.c.
 */
#include "hv/preflight/checks.h"

static void check_transport(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	(void)dst;
	if (src->transport[0])
		pf_find(r, PF_PASS, "%s", src->note[0] ? src->note : src->transport);
	else
		pf_find(r, PF_FAIL, "%s",
			src->note[0] ? src->note : "no transport can be used by both ends");
}

const struct pf_check pf_check_transport = {
	.name = "transport",
	.what = "which transport both ends can use",
	.why = "memory has to travel by something",
	.mend = "'watari probe' at either end says what each transport needs",
	.run = check_transport,
};
