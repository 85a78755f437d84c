/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the move can come to its end: how long it would take and how long the guest would stand
 * still, from the rate it writes at and the rate of the link. An estimate: the move itself measures
 * as it goes. Next in the flow: none, this is the last.
 */
#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/preflight/checks.h"

/* Freeze, state and thaw of a machine with nothing left to send, and what a harvest takes. */
#define DURATION_STATE_NS   (2 * NSEC_PER_MSEC)
#define DURATION_HARVEST_NS (2 * NSEC_PER_MSEC)

static void check_duration(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	double rate = (double)src->rate, dirty = (double)src->dirty_rate, total, left, blackout;
	char t[32], b[32], d[32], l[32];

	(void)dst;
	if (!src->rate || src->dirty_known != PF_YES) {
		pf_find(r, PF_WARN, "not to be told: the rate of %s was not measured",
			src->rate ? "the guest's writing" : "the link");
		return;
	}
	size_format(src->dirty_rate, d, sizeof(d));
	size_format(src->rate, l, sizeof(l));
	if (dirty >= rate) {
		pf_find(r, PF_WARN,
			"the guest writes %s/s and one connection carries %s/s: it would be slowed "
			"down, or not get through",
			d, l);
		return;
	}
	/* Rounds of a geometric series; then what is written during a round trip and a harvest. */
	total = (double)src->allocated / (rate - dirty);
	left = dirty * ((double)src->rtt_ns + DURATION_HARVEST_NS) / 1e9;
	blackout = left / rate * 1e9 + 2 * (double)src->rtt_ns + DURATION_STATE_NS;
	duration_format((uint64_t)(total * 1e9), t, sizeof(t));
	duration_format((uint64_t)blackout, b, sizeof(b));
	if (src->downtime_limit_ns && blackout > (double)src->downtime_limit_ns)
		pf_find(r, PF_WARN,
			"about %s in all, and a blackout of about %s, more than the downtime limit: "
			"the guest writes %s/s, one connection carries %s/s",
			t, b, d, l);
	else
		pf_find(r, PF_PASS,
			"about %s in all, and a blackout of about %s: the guest writes %s/s, one "
			"connection carries %s/s",
			t, b, d, l);
}

const struct pf_check pf_check_duration = {
	.name = "duration",
	.what = "the guest's memory and the rate it is written at, against the rate of the link",
	.why = "a guest that writes faster than the link carries has to be slowed down to move",
	.mend = "move at a quieter hour, by a faster link, with more --streams, or with a longer "
		"--downtime-limit",
	.flags = PF_MAY_SKIP | PF_THOROUGH,
	.run = check_duration,
};
