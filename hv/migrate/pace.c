/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the arithmetic of a limited rate (see pace.h). Must never ask a clock or a transport.
 * Next in the flow: pump_source.c.
 */
#include "hv/migrate/pace.h"

void pace_init(struct pace *c, uint64_t rate, uint64_t now)
{
	*c = (struct pace){ .rate = rate, .at = now };
}

bool pace_may_send(struct pace *c, uint64_t now)
{
	uint64_t passed = now - c->at;

	if (!c->spent && (!c->rate || c->budget > 0))
		return true;
	if (passed > PACE_HOLD_NS)
		passed = PACE_HOLD_NS;
	c->budget += (int64_t)((double)c->rate * (double)passed / 1e9);
	c->at = now;
	c->spent = c->rate && (double)c->budget < (double)c->rate * PACE_BURST_NS / 1e9;
	if (!c->spent && c->idle_at) {
		c->idle_ns += now - c->idle_at;
		c->idle_at = 0;
	}
	return !c->spent;
}

void pace_stop(struct pace *c)
{
	c->spent = true;
}

void pace_sent(struct pace *c, uint64_t bytes)
{
	c->budget -= (int64_t)bytes;
}

void pace_round(struct pace *c)
{
	c->idle_ns = c->idle_at = 0;
}

bool pace_wants_idle(const struct pace *c)
{
	return c->spent && !c->idle_at;
}

void pace_idle(struct pace *c, uint64_t now)
{
	c->idle_at = now;
}
