/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the link is fast enough for a move (S7). Next in the flow: check_mtu.c.
 */
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

#define SPEED_LEAST_MBIT 10000u

static void speed_end(const struct pf_link *l, const char *where, struct pf_result *r)
{
	if (!l->mbit)
		pf_find(r, PF_WARN, "how fast %s is %s, its device does not say",
			l->device[0] ? l->device : "the link", where);
	else if (l->mbit < SPEED_LEAST_MBIT)
		pf_find(r, PF_WARN, "%s %s has %llu Mbit/s, less than %u", l->device, where,
			(unsigned long long)l->mbit, SPEED_LEAST_MBIT);
	else
		pf_find(r, PF_PASS, "%llu Mbit/s %s", (unsigned long long)l->mbit, where);
}

static void check_link_speed(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	char rate[32];

	if (src->link.here == PF_YES) {
		pf_find(r, PF_PASS, "both ends are on this host");
	} else {
		speed_end(&src->link, "here", r);
		speed_end(&dst->link, "there", r);
	}
	if (src->rate)
		pf_find(r, r->level, "one connection carried %s/s",
			size_format(src->rate, rate, sizeof(rate)));
}

const struct pf_check pf_check_link_speed = {
	.name = "link-speed",
	.what = "the speed of the network devices at both ends",
	.why = "a slow link makes moves long, and a guest that writes faster than it cannot move at full "
	       "speed",
	.mend = "use a link of 10 Gbit/s or more, or let the move take its time",
	.flags = PF_MAY_SKIP,
	.run = check_link_speed,
};
