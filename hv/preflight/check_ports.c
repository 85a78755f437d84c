/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: a port that the target opens for the data can be connected to. Next in the flow:
 * check_way_back.c.
 */
#include "hv/preflight/checks.h"

static void check_ports(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (!dst->link.port)
		pf_find(r, PF_FAIL, "the target can open no port: %s",
			dst->link.reach_error[0] ? dst->link.reach_error : "it does not say why");
	else if (src->link.reached == PF_YES)
		pf_find(r, PF_PASS, "port %u, opened there for the test, was reached",
			dst->link.port);
	else if (src->link.reached == PF_NO)
		pf_find(r, PF_FAIL, "port %u, opened there for the test, was not reached: %s",
			dst->link.port, src->link.reach_error);
	else
		pf_find(r, PF_WARN, "whether data can reach the target is not known");
}

const struct pf_check pf_check_ports = {
	.name = "ports",
	.what = "a connection to a port that the target opened for the test, as a move opens one",
	.why = "the data travels on a connection of its own, to a port that the target's kernel chooses",
	.mend = "let the source through to the target's ports of net.ipv4.ip_local_port_range",
	.flags = PF_MAY_SKIP,
	.run = check_ports,
};
