/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transports for whole moves between fakes that fail, are narrow or cannot be used here: operations
 * of the fake transport, each with something wrong with it. Of one test program; what they are to
 * do is set before a move's threads start. Next in the flow: migrate_move_test.c.
 */
#ifndef WATARI_TESTS_MIGRATE_FAULTS_H
#define WATARI_TESTS_MIGRATE_FAULTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/clock.h"
#include "hv/migrate/xport.h"
#include "tests/lib/fake_xport.h"

/* Which end of the connection gets a fault, and which. */
struct fault {
	bool armed, at_target;
	enum fake_fault kind;
	unsigned countdown;
};

static struct fault fault; /* of the move under way; set before its threads start */

static int fault_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	int r = fake_xport_ops.connect(out, addr, timeout_ns, e);

	if (!r && fault.armed && !fault.at_target)
		fake_xport_fault(*out, fault.kind, fault.countdown);
	return r;
}

static int fault_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	int r = fake_xport_ops.accept(l, timeout_ns, out, e);

	if (!r && fault.armed && fault.at_target)
		fake_xport_fault(*out, fault.kind, fault.countdown);
	return r;
}

/* A link that carries so much and no more, whatever is asked of it; set before threads start. */
static struct {
	uint64_t rate;    /* bytes/s, 0: as fast as it goes */
	uint64_t free_at; /* when what it has taken will have passed */
} narrow;

#define NARROW_QUEUE_NS (100 * NSEC_PER_MSEC) /* that it takes ahead */

static int narrow_put(struct xport *x, const struct xport_put *p, struct err *e)
{
	uint64_t now = clock_mono_ns();
	int r;

	if (narrow.rate && narrow.free_at > now + NARROW_QUEUE_NS)
		return -EAGAIN;
	r = fake_xport_ops.put(x, p, e);
	if (narrow.rate && r == 0)
		narrow.free_at = (narrow.free_at > now ? narrow.free_at : now) +
				 p->length * NSEC_PER_SEC / narrow.rate;
	return r;
}

static void lame_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	*out = (struct xport_probe){ .usable = false, .why = "no adapter" };
}

#endif
