/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: there is room for logs, the guest's definition and the history (S9).
 * Next in the flow: check_clock.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

#define SPACE_LEAST (16ull << 20)

static void space_end(const struct pf_facts *f, const char *where, struct pf_result *r)
{
	char have[32];

	if (f->space_known != PF_YES)
		pf_find(r, PF_WARN, "how much room there is %s is not known", where);
	else
		pf_find(r, f->space >= SPACE_LEAST ? PF_PASS : PF_WARN, "%s free %s",
			size_format(f->space, have, sizeof(have)), where);
}

static void check_space(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	space_end(src, "here", r);
	space_end(dst, "there", r);
}

const struct pf_check pf_check_space = {
	.name = "space",
	.what = "the room where watari keeps state and sockets, at both ends, at least 16 MiB",
	.why = "without it a move leaves no trace, and the definition of a guest gets lost",
	.mend = "free some in the state directory and in the runtime directory",
	.flags = PF_MAY_SKIP,
	.run = check_space,
};
