/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: both ends send packets of one size (S7). Next in the flow: check_ports.c.
 */
#include "hv/preflight/checks.h"

static void check_mtu(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	uint32_t a = src->link.mtu, b = dst->link.mtu;

	if (src->link.here == PF_YES)
		pf_find(r, PF_PASS, "both ends are on this host");
	else if (!a || !b)
		pf_find(r, PF_WARN, "the MTU %s is not known", a ? "there" : "here");
	else if (a != b)
		pf_find(r, PF_WARN, "MTU %u of %s here, %u of %s there", a, src->link.device, b,
			dst->link.device);
	else
		pf_find(r, PF_PASS, "MTU %u at both ends", a);
}

const struct pf_check pf_check_mtu = {
	.name = "mtu",
	.what = "the MTU of the network devices at both ends",
	.why = "large packets of the one get lost at the other: a move hangs when it begins to send, "
	       "or RDMA does not connect",
	.mend = "'ip link set DEVICE mtu N' to the same at both ends and on the switches between",
	.flags = PF_MAY_SKIP,
	.run = check_mtu,
};
