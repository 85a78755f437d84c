/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the bridges and taps of the guest's nets are there at the target (S9).
 * Next in the flow: check_name.c.
 */
#include <string.h>

#include "hv/preflight/checks.h"

static void nets_one(const struct pf_net *a, const struct pf_net *b, struct pf_result *r)
{
	if (!b || strcmp(a->name, b->name) != 0)
		pf_find(r, PF_FAIL, "net '%s': the target says nothing of it", a->name);
	else if (a->bridge[0] && b->have_bridge == PF_NO)
		pf_find(r, PF_FAIL, "net '%s': bridge '%s' does not exist there", a->name,
			a->bridge);
	else if (!a->bridge[0] && a->tap[0] && b->have_tap == PF_NO)
		pf_find(r, PF_FAIL,
			"net '%s': tap '%s' does not exist there, and no bridge is named "
			"for a new one",
			a->name, a->tap);
	else if ((a->bridge[0] ? b->have_bridge : b->have_tap) == PF_YES)
		pf_find(r, PF_PASS, "net '%s': %s '%s' is there", a->name,
			a->bridge[0] ? "bridge" : "tap", a->bridge[0] ? a->bridge : a->tap);
	else
		pf_find(r, PF_WARN, "net '%s': whether its bridge is there is not known", a->name);
}

static void check_nets(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (!src->nnets)
		pf_find(r, PF_PASS, "the guest has none");
	for (uint32_t i = 0; i < src->nnets; i++)
		nets_one(&src->net[i], i < dst->nnets ? &dst->net[i] : NULL, r);
}

const struct pf_check pf_check_nets = {
	.name = "nets",
	.what = "the bridge or the tap of every net, at the target",
	.why = "a guest that arrives without its network is cut off from all who talk to it",
	.mend = "'ip link add BRIDGE type bridge' and the port to the network, or 'ip tuntap add dev TAP "
		"mode tap vnet_hdr', there",
	.flags = PF_MAY_SKIP,
	.run = check_nets,
};
