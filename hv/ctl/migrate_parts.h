/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move from within: what its two sides, the move's thread and the loop's, share, and nobody else
 * includes.
 * Invariant: the groups of fields below say whose they are. Only under the lock does one thread see
 * what the other wrote while the move goes on.
 * Next in the flow: migrate.c, migrate_news.c.
 */
#ifndef WATARI_CTL_MIGRATE_PARTS_H
#define WATARI_CTL_MIGRATE_PARTS_H

#include <pthread.h>

#include "hv/ctl/cancel.h"
#include "hv/ctl/migrate.h"
#include "hv/ctl/preflight.h"

struct ctl_move {
	struct loop *loop;
	struct vm *vm;
	struct ctl_move_hooks hooks;
	struct ctl_addr to; /* leaving only */
	bool leaving;
	int efd;
	pthread_t thread;
	int cancel;                  /* atomic, see mig_source_args */
	struct ctl_cancel cancelled; /* who waits to hear of it */
	/* the move's thread only, until done */
	struct ctl_turn turn; /* leaving only */
	struct mig_vm_ops ops;
	struct mig_source_args source;
	struct mig_target_args target;
	struct rdv_offer offer;
	struct chan *chan; /* the rendezvous of an arrival */
	char listen_host[CTL_HOST_MAX], from[XPORT_HOST_MAX];
	struct mig_result result;
	struct err err;
	int rc;
	/* under the lock */
	pthread_mutex_t lock;
	struct mig_progress progress;
	const char *transport; /* chosen; "" before */
	char note[CHOOSE_NOTE_MAX];
	char waits[CTL_SLOTS_TEXT];     /* for what, before it begins; "" : for nothing */
	struct ctl_preflight preflight; /* set before the thread starts */
	struct pf_report report;
	bool saved, landed, done, checked;
	/* the loop's thread only */
	bool told_choice, told_checks;
	char told_waits[CTL_SLOTS_TEXT];
	uint64_t told_ns;
	enum mig_phase told_phase;
};

/* migrate.c: once its thread is gone, or never was. */
void move_free(struct ctl_move *m);
/* migrate_news.c: the eventfd of the move @arg was rung. Frees the move when it has ended. */
void move_news(void *arg, uint32_t events);

#endif
