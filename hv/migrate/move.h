/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move, from above: what hv/ctl calls. Each side blocks, on a thread of its own in the process
 * that is, or will be, the guest's; that process goes on answering its control socket. Both agree
 * by the rendezvous, then move the guest over a transport (docs/protocol.md). Next: rendezvous.h.
 */
#ifndef WATARI_MIGRATE_MOVE_H
#define WATARI_MIGRATE_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/choose.h"
#include "hv/migrate/points.h"
#include "hv/migrate/progress.h"
#include "hv/migrate/rendezvous.h"
#include "hv/migrate/source.h"
#include "hv/migrate/vm_ops.h"
#include "hv/migrate/way.h"
#include "hv/migrate/xport.h"

const char *mig_on_stall_name(enum mig_on_stall s); /* "throttle", "freeze", "abort" */
int mig_on_stall_parse(const char *text, enum mig_on_stall *out, struct err *e); /* -EINVAL */

#define MIG_BANDWIDTH_LEAST (1ull << 20) /* bytes/s */

struct mig_params {
	uint64_t downtime_limit_ns;  /* the predicted blackout must fit in it; default 10 ms */
	enum mig_on_stall on_stall;  /* when rounds stop getting smaller; default throttle */
	uint64_t bandwidth;          /* bytes/s of page payload while the guest runs; 0: no limit */
	unsigned streams;            /* 1..16, or 0, the default: as streams.h chooses */
	struct mig_limits limits;    /* of the phases; defaults in limits.h */
	uint64_t connect_timeout_ns; /* HELLO and connection each; default 4 s */
	struct xport_rdma rdma;      /* this end's wishes; default none */
	struct chan_want secure;     /* of the control channel and the data; default in clear */
	uint64_t test_stall_ns; /* stands still so long once frozen, to prove an instrument; 0 */
};
void mig_params_default(struct mig_params *p);

/*
 * Moves the guest away. Blocks; call it on a thread of its own.
 *  0              the target runs the guest; the source must never thaw it again. With
 *                 out->unconfirmed its word was lost, and @e says what the storage said
 *  <0             given up; the guest runs here as before (thawed, tracking off)
 *  <0, in_doubt   nobody can say who owns the guest; it stays frozen, and the message says what to
 *                 do: acquire() of mig_owner_ops, then thaw(), or the end
 * @chosen is called from this thread once it is known how the guest travels, with the note of
 * choose_transport(), then @check; @progress too, every 100 ms while something moves. NULL: none.
 * @cancel, an int that is 0, is where other threads give the move up: mig_cancel() of cancel.h.
 */
struct mig_source_args {
	struct gmem *mem;
	const struct mig_vm_ops *ops;
	const struct mig_owner_ops *own; /* NULL: the guest has no disks */
	void *vm;                        /* of both */
	struct mig_points points;
	const char *host; /* rendezvous of the target */
	uint16_t port;
	struct xport_list transports;  /* to choose from */
	const struct xport_ops *xport; /* the choice: filled in */
	int node;                      /* where to copy, see near.h: filled in */
	struct rdv_offer offer;        /* filled by the caller except transport and streams */
	struct mig_params params;
	void (*chosen)(void *arg, const struct xport_ops *xport, const char *note);
	/* Checks over the rendezvous before the offer; an error gives the move up. */
	int (*check)(void *arg, struct chan *c, const struct xport_ops *xport, uint64_t timeout_ns,
		struct err *e);
	void (*progress)(void *arg, const struct mig_progress *p);
	struct way way; /* towards other moves over the same link; zeroes: there are none */
	void *arg;
	int *cancel;       /* may be NULL */
	uint64_t begun_ns; /* when the init phase began: filled in */
};
int mig_source_run(struct mig_source_args *a, struct mig_result *out, struct err *e);

/*
 * Receives a guest on the rendezvous @chan, on which rdv_offer_read() has been called, into the
 * machine @vm, built from the offer and never run. Returns 0 once the guest belongs to this host
 * and was thawed (out->unconfirmed: the source was lost before it said so, @e tells); <0: nothing
 * arrived, free the machine, unless out->in_doubt, as above. A target that gives up has told the
 * source why.
 * @listen_host: the address the data connection listens on.
 */
struct mig_target_args {
	struct gmem *mem;
	const struct mig_vm_ops *ops;
	const struct mig_owner_ops *own; /* as above */
	void *vm;
	struct mig_points points;
	struct chan *chan;
	const char *listen_host;
	const struct xport_ops *xport;
	struct xport_rdma rdma; /* this end's wishes */
	int node;               /* where to copy, see near.h: filled in */
	const struct rdv_offer *offer;
	void (*progress)(void *arg, const struct mig_progress *p); /* may be NULL */
	void *arg;
};
int mig_target_run(struct mig_target_args *a, struct mig_result *out, struct err *e);

#endif
