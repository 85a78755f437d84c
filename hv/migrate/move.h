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
	uint64_t test_stall_ns; /* stands still so long once frozen, to prove an instrument; 0 */
};
void mig_params_default(struct mig_params *p);

enum mig_phase {
	MIG_PHASE_WAITING, /* for its turn: nothing was begun */
	MIG_PHASE_INIT,
	MIG_PHASE_COPY,
	MIG_PHASE_QUIESCE,
	MIG_PHASE_FROZEN, /* and commit */
	MIG_PHASE_DONE,
	MIG_PHASE_FAILED
};
const char *mig_phase_name(enum mig_phase p); /* "waiting", "init", "copy", "quiesce", ... */

struct mig_progress { /* a snapshot of a running move */
	enum mig_phase phase;
	unsigned round; /* 1 is the first pass */
	uint64_t elapsed_ns;
	uint64_t sent_bytes;     /* page payload so far */
	uint64_t residual_bytes; /* known dirty and not sent yet */
	uint64_t goodput;        /* bytes/s, of this move so far; 0: not known yet */
	uint64_t dirty_rate;     /* bytes/s the guest dirtied in the last round; 0: not known */
	uint64_t predicted_blackout_ns; /* if frozen now; 0: not known yet */
	uint64_t eta_ns;                /* to the end of this round; 0: not known */
	unsigned share; /* thousandths of their time that writing vCPUs are left with; 1000: all */
};

struct mig_blackout {         /* its steps, each in ns, as the source saw them */
	uint64_t total_ns;    /* freeze asked for ... the target's word that it thawed */
	uint64_t stop_ns;     /* vCPUs stopped */
	uint64_t harvest_ns;  /* last dirty pages found */
	uint64_t residual_ns; /* last pages posted */
	uint64_t save_ns;     /* state saved */
	uint64_t send_ns;     /* state posted ... target's word that it loaded it */
	uint64_t load_ns;     /* of send_ns, what the target spent loading */
	uint64_t start_ns;    /* commit ... target's word that it thawed */
};

struct mig_result {
	uint64_t total_ns;        /* connect ... thawed */
	unsigned rounds;          /* passes before the freeze */
	uint64_t sent_bytes;      /* page payload */
	uint64_t wire_bytes;      /* everything sent by the transport */
	uint64_t populated_bytes; /* target: allocated before they arrived */
	uint64_t receive_cpu_ns;  /* target: processor time of the copy phase, one thread's ... */
	uint64_t allocate_cpu_ns; /* ... and that of those who allocate, or register, ahead of it */
	uint64_t pages_sent, pages_zero, pages_skipped; /* skipped: zero and never sent */
	uint64_t residual_bytes;                        /* moved while frozen */
	uint64_t goodput; /* bytes/s over the copy phase, first round to freeze */
	uint64_t predicted_blackout_ns;
	unsigned streams;      /* data connections that were used; 0: it did not come to that */
	unsigned share_least;  /* the least share of their time that writing vCPUs were left with */
	uint64_t throttled_ns; /* time they did not get, each: what throttling cost them */
	struct mig_blackout blackout;
	char transport[RDV_TRANSPORT_MAX]; /* that was taken; "" if it did not come to that */
	char note[CHOOSE_NOTE_MAX];        /* and why: one line, of choose_transport() */
	bool committed; /* true: the target owns the guest, whatever the return value says */
};

/*
 * Moves the guest away. Blocks; call it on a thread of its own.
 *  0          the target runs the guest; the source must never thaw it again
 *  <0, !committed  given up; the guest runs here as before (thawed, tracking off)
 *  <0, committed   in doubt: the target was told to run the guest and did not answer; the source
 *                  stays frozen, the message says so
 * @chosen is called from this thread once it is known how the guest travels, with the note of
 * choose_transport(), then @check; @progress too, at least every 100 ms while something moves. All
 * may be NULL.
 * @cancel, an int that is 0, is where other threads give the move up: mig_cancel() of cancel.h.
 */
struct mig_source_args {
	struct gmem *mem;
	const struct mig_vm_ops *ops;
	void *vm;
	const char *host; /* rendezvous of the target */
	uint16_t port;
	struct xport_list transports;  /* to choose from */
	const struct xport_ops *xport; /* the choice: filled in */
	int node;                      /* where to copy, see near.h: filled in */
	struct rdv_offer offer;        /* filled by the caller except transport and streams */
	struct mig_params params;
	void (*chosen)(void *arg, const struct xport_ops *xport, const char *note);
	/* Checks over the rendezvous before the offer; an error gives the move up. */
	int (*check)(void *arg, int fd, const struct xport_ops *xport, uint64_t timeout_ns,
		struct err *e);
	void (*progress)(void *arg, const struct mig_progress *p);
	struct way way; /* towards other moves over the same link; zeroes: there are none */
	void *arg;
	int *cancel;       /* may be NULL */
	uint64_t begun_ns; /* when the init phase began: filled in */
};
int mig_source_run(struct mig_source_args *a, struct mig_result *out, struct err *e);

/*
 * Receives a guest on the connected rendezvous socket @fd, on which rdv_read_offer() has been
 * called, into the machine @vm, built from the offer and never run. Returns 0 once the guest
 * belongs to this host and was thawed; anything else: nothing arrived, free the machine. A target
 * that fails before commit has told the source why.
 * @listen_host: the address the data connection listens on.
 */
struct mig_target_args {
	struct gmem *mem;
	const struct mig_vm_ops *ops;
	void *vm;
	int fd;
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
