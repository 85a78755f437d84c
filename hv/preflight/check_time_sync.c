/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: both hosts' clocks follow a time source (S10), as their kernels know it.
 * Next in the flow: check_duration.c.
 */
#include "hv/preflight/checks.h"

static void sync_end(const struct pf_facts *f, const char *where, struct pf_result *r)
{
	if (f->synced == PF_YES)
		pf_find(r, PF_PASS, "%s the clock is synchronised, within %llu us", where,
			(unsigned long long)f->clock_error_us);
	else if (f->synced == PF_NO)
		pf_find(r, PF_WARN, "%s the clock is not synchronised", where);
	else
		pf_find(r, PF_WARN, "%s it is not known whether the clock is synchronised", where);
}

static void check_time_sync(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	/* Two guests' processes on one host have one clock, disciplined or not. */
	if (src->link.here == PF_YES) {
		pf_find(r, PF_PASS, "both ends are on this host");
		return;
	}
	sync_end(src, "here", r);
	sync_end(dst, "there", r);
}

const struct pf_check pf_check_time_sync = {
	.name = "time-sync",
	.what = "whether the kernel's clock is disciplined (adjtimex), at both ends",
	.why = "clocks that agree now drift apart when nothing holds them",
	.mend = "run chrony, ntpd or systemd-timesyncd on the host that says so",
	.flags = PF_MAY_SKIP,
	.run = check_time_sync,
};
