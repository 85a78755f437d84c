/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest under control from within: what the files that serve its requests share, and nobody else
 * includes.
 * Invariant: as in guest.c.
 * Next in the flow: guest.c (the table), guest_status.c, guest_life.c.
 */
#ifndef WATARI_CTL_INTERNAL_H
#define WATARI_CTL_INTERNAL_H

#include <jansson.h>

#include "hv/ctl/check.h"
#include "hv/ctl/guest.h"
#include "hv/ctl/migrate.h"
#include "hv/ctl/proto.h"
#include "hv/ctl/server.h"

/* A request that came when the guest ran here but its arrival was not over; conn NULL: free. */
struct guest_wait {
	struct ctl_conn *conn;
	json_t *request;
};

struct ctl_guest {
	struct loop *loop;
	struct vm *vm;
	struct ctl_claim *claim;
	struct ctl_server *server;
	struct ctl_console *console; /* NULL: it has none */
	struct ctl_guest_hooks hooks;
	uint64_t since_ns; /* when it began to live here */
	struct ctl_move *move;
	struct ctl_check *check; /* never beside a move */
	bool arriving;           /* `move` is an arrival */
	struct ctl_conn *asker;  /* who waits for the move; NULL: nobody any more */
	struct guest_wait waiting[CTL_CLIENTS_MAX];
	struct ctl_conn *stopping[CTL_CLIENTS_MAX]; /* who waits for the guest to power off */
	enum vm_event event;                        /* of the guest, kept until the move is over */
	bool over;
	char in_doubt[ERR_MSG_MAX]; /* "" or what happened */
	bool doubt_arriving;        /* it was on its way here */
};

/* "running" and so on, as docs/control-socket.md has it. */
const char *guest_state(const struct ctl_guest *g, const struct vm_info *info);

/* guest.c */
void guest_end(struct ctl_guest *g, enum ctl_end why, const struct ctl_addr *to,
	const struct mig_result *r, const struct err *e);
/* Deals with what the guest did (g->event), once no move is in the way. */
void guest_act(struct ctl_guest *g);

/* guest_status.c */
void op_status(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_definition(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_memory(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);

/* check.c */
void op_check(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
/* own.c */
void op_own(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
/* The move ended in doubt, for @e. */
void guest_doubt(struct ctl_guest *g, bool arriving, const struct err *e);
/* What is refused to a guest in doubt: -EBUSY. */
int guest_refuse_doubt(const struct ctl_guest *g, struct err *e);

/* balloon.c */
void op_balloon(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);

/* guest_life.c */
void op_pause(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_resume(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_stop(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_reset(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
void op_kill(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
/* The end has come: tells those who wait for the guest to power off. */
void guest_stopped(struct ctl_guest *g, enum ctl_end why);
/* A client is gone that may be one of them. */
void guest_stop_forget(struct ctl_guest *g, const struct ctl_conn *c);

#endif
