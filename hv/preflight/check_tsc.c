/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the time-stamp counter will tick at the rate the guest has measured (S6).
 * Next in the flow: check_lan.c.
 */
#include "hv/preflight/checks.h"

/* Host clocks of one nominal rate are calibrated each for itself; NTP corrects far more. */
#define TSC_PARTS_PER_MILLION 250ull

static void check_tsc(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	uint64_t a = src->tsc_khz, b = dst->tsc_khz, apart = a > b ? a - b : b - a;

	if (!a || !b)
		pf_find(r, PF_WARN, "the TSC frequency %s is not known",
			a ? "there" : "of the guest");
	else if (apart * 1000000 <= a * TSC_PARTS_PER_MILLION)
		pf_find(r, PF_PASS, "%llu kHz for the guest, %llu kHz there", (unsigned long long)a,
			(unsigned long long)b);
	else if (dst->tsc_scaling == PF_YES)
		pf_find(r, PF_PASS, "%llu kHz for the guest, %llu kHz there, which scales",
			(unsigned long long)a, (unsigned long long)b);
	else if (dst->tsc_scaling == PF_UNKNOWN)
		pf_find(r, PF_WARN,
			"%llu kHz for the guest, %llu kHz there, and whether that host scales is not "
			"known",
			(unsigned long long)a, (unsigned long long)b);
	else
		pf_find(r, PF_WARN,
			"the guest's TSC ticks at %llu kHz, the target's at %llu kHz, and its "
			"processor cannot scale it",
			(unsigned long long)a, (unsigned long long)b);
}

const struct pf_check pf_check_tsc = {
	.name = "tsc",
	.what = "the frequency of the time-stamp counter",
	.why = "a guest that takes its time from the TSC runs fast or slow after the move",
	.mend = "move to a host of that frequency or with TSC scaling, or let the guest use kvm-clock",
	.flags = PF_MAY_SKIP,
	.run = check_tsc,
};
