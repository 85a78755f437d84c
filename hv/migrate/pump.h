/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pumps: they turn the to-dos of source.h and target.h into calls of the transport and the
 * machine, and what comes back into events. All I/O and all time of a move is here.
 * Next in the flow: a transport, e.g. transport-tcp/sock.c.
 */
#ifndef WATARI_MIGRATE_PUMP_H
#define WATARI_MIGRATE_PUMP_H

#include "hv/base/err.h"
#include "hv/migrate/move.h"
#include "hv/migrate/target.h"

/*
 * A silent peer is given up after this: not one that is only slow. A dead process or host shows
 * sooner by its connection; an overloaded one stands back behind its guests (urgency.h).
 */
#define PUMP_ANSWER_TIMEOUT_NS (30ull * 1000000000)
#define PUMP_GONE_NS           (500ull * 1000000) /* for the transport to say why */
#define PUMP_PROGRESS_NS       (100ull * 1000000)
/* What an attempt to acquire found becomes the machine's event by addition. */
_Static_assert(SOURCE_EV_MUTE - SOURCE_EV_ACQUIRED == MIG_MUTE &&
		       TARGET_EV_MUTE - TARGET_EV_ACQUIRED == MIG_MUTE && MIG_ACQUIRED == 0 &&
		       SOURCE_EV_HELD - SOURCE_EV_ACQUIRED == MIG_HELD &&
		       TARGET_EV_HELD - TARGET_EV_ACQUIRED == MIG_HELD,
	"one order of answers");

/* So often stopping the guest is rehearsed: it costs the guest a tenth of a percent. */
#define PUMP_NUDGE_NS (100ull * 1000000)

#define PUMP_EVENTS         64
#define PUMP_BUDGET_POLL_NS (1ull * 1000000)
#define PUMP_IDLE_POLL_NS   (100ull * 1000)

/*
 * Runs the source side over the connected @x until the move ends; @clock as measured by the
 * rendezvous, whose socket @rdv_fd is watched as the lifeline. Returns and fills @out as
 * mig_source_run() does. Closes nothing.
 */
int pump_source(struct mig_source_args *a, struct xport *x, int rdv_fd,
	const struct rdv_clock *clock, struct mig_result *out, struct err *e);

/* Runs the target side over the connected @x; see mig_target_run(). */
int pump_target(struct mig_target_args *a, struct xport *x, struct mig_result *out, struct err *e);

#endif
