/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system under test: how to start the bench guest under it, hold it, and move it to a second
 * process on this host. One table for watari, one for each kind of peer; what is measured and how
 * (move.h) is the same for all of them and knows none.
 * Invariant: whatever fails, end() leaves no process of the guest behind.
 * Next in the flow: system_watari.c, system_qemu.c, then move.h.
 */
#ifndef WATARI_BENCH_SYSTEM_H
#define WATARI_BENCH_SYSTEM_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/config.h"
#include "bench/ends.h"
#include "bench/observe.h"
#include "bench/trace.h"
#include "hv/migrate/move.h"

struct bench_guest;
struct bench_plan;
struct qmp;

struct bench_system {
	const char *name; /* "watari", "qemu" */

	/* Starts the guest; on success g->at sees its memory. Cleans up through end() only. */
	int (*boot)(struct bench_guest *g, struct err *e);
	/* Whatever a move needs that a host would have done long before. */
	int (*prepare)(struct bench_guest *g, struct err *e);
	/*
	 * Moves the guest, telling @t what it learns meanwhile. 0: it runs at the target, g->to
	 * sees its memory there. Negative: it did not move; *@stays says whether it runs on here.
	 * *@raw becomes what the system itself reports, a new reference, or NULL.
	 */
	int (*move)(struct bench_guest *g, struct trace *t, struct mig_result *out, json_t **raw,
		bool *stays, struct err *e);
	/* After a move, the source is told to end; after one that failed, what was prepared. */
	int (*leave)(struct bench_guest *g, struct err *e);
	/* Stops (@on) or restarts all vCPUs. */
	int (*hold)(struct bench_guest *g, bool on, struct err *e);
	/* Ends every process of the guest; the last may take its time (ends_left()). */
	void (*end)(struct bench_guest *g);
};

extern const struct bench_system bench_watari, bench_qemu;

/* A process of the peer's. */
struct bench_qemu_vm {
	pid_t pid; /* 0: none */
	struct qmp *qmp;
	int mem; /* its memory's file, -1: none */
};

/* One guest under one system. */
struct bench_guest {
	const struct bench_system *sys;
	const char *variant; /* watari: the transport; qemu: the mode */
	const struct bench_config *config;
	const struct bench_plan *plan;
	struct bench_ends *ends;
	char name[32];
	struct observed at, to; /* where it runs, where it has just moved to */
	bool held;              /* all its vCPUs are stopped */
	/* watari */
	int end;            /* that it runs at */
	const char *remote; /* HOST:PORT of a receiver elsewhere, to which it moves; or NULL */
	pid_t run;
	/* qemu */
	struct bench_qemu_vm here, there;
	unsigned serial; /* of the next process, for names of its files */
	uint16_t port;   /* where `there` listens */
};

/*
 * Finds out whether the plan's peer can be used here; sets its version and CPU model in @p. -ENOENT
 * and others with a sentence that says what is missing.
 */
int bench_peer_find(struct bench_ends *x, struct bench_plan *p, struct err *e);
/* The modes of the peer, postcopy last; NULL-terminated. */
extern const char *const bench_qemu_modes[];

#endif
