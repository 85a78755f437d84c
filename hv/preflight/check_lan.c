/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the guest's memory travels by a network set aside for it, not by the one that everything
 * else takes (S7). Next in the flow: check_link_speed.c.
 */
#include "hv/preflight/checks.h"

static void lan_end(const struct pf_link *l, const char *where, struct pf_result *r)
{
	if (!l->device[0] || l->fallback == PF_UNKNOWN)
		pf_find(r, PF_WARN, "which network it is %s is not known", where);
	else if (l->fallback == PF_YES)
		pf_find(r, PF_WARN, "%s the way is by %s, which has the default route", where,
			l->device);
	else
		pf_find(r, PF_PASS, "%s by %s, which has no default route", where, l->device);
}

static void check_lan(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (src->link.here == PF_YES) {
		pf_find(r, PF_PASS, "both ends are on this host");
		return;
	}
	lan_end(&src->link, "here", r);
	lan_end(&dst->link, "there", r);
}

const struct pf_check pf_check_lan = {
	.name = "lan",
	.what = "the network devices of the connection, against the default route's, at both ends",
	.why = "a move fills its link: it and the hosts' other traffic slow each other down, and who "
	       "reads that network reads the guest",
	.mend = "give both hosts addresses on a network of their own for moves, and name that one by --to",
	.flags = PF_MAY_SKIP,
	.run = check_lan,
};
