/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the frame of a move: rendezvous, connection, pump, and the clearing up after it (see
 * move.h). Decides nothing about pages or ownership: source.c and target.c do.
 * Next in the flow: rendezvous.c, then pump_source.c and pump_target.c.
 */
#include "hv/migrate/move.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/mem/near.h"
#include "hv/migrate/cancel.h"
#include "hv/migrate/link.h"
#include "hv/migrate/pump.h"
#include "hv/migrate/sealed.h"
#include "hv/migrate/streams.h"

#define MOVE_CAN_NS   (10 * NSEC_PER_SEC)  /* a target may load drivers from a slow disk */
#define MOVE_BUILD_NS (600 * NSEC_PER_SEC) /* ... and build a large machine: see --init-timeout */

/* What the two kinds of keys are exported for (RFC 8446 7.5). */
#define MOVE_LABEL_STREAMS  "EXPORTER-watari-streams"
#define MOVE_LABEL_MESSAGES "EXPORTER-watari-messages"

void mig_params_default(struct mig_params *p)
{
	*p = (struct mig_params){
		.downtime_limit_ns = 10 * NSEC_PER_MSEC,
		.on_stall = MIG_ON_STALL_THROTTLE,
		.streams = STREAMS_AUTO,
		.connect_timeout_ns = 4 * NSEC_PER_SEC,
	};
	mig_limits_default(&p->limits);
}

static const char *const on_stall_names[] = {
	[MIG_ON_STALL_THROTTLE] = "throttle",
	[MIG_ON_STALL_FREEZE] = "freeze",
	[MIG_ON_STALL_ABORT] = "abort",
};

const char *mig_on_stall_name(enum mig_on_stall s)
{
	return on_stall_names[s];
}

int mig_on_stall_parse(const char *text, enum mig_on_stall *out, struct err *e)
{
	for (unsigned i = 0; i < sizeof(on_stall_names) / sizeof(on_stall_names[0]); i++) {
		if (strcmp(text, on_stall_names[i]) == 0) {
			*out = (enum mig_on_stall)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "on-stall '%s' is none of throttle, freeze, abort", text);
}

const char *mig_phase_name(enum mig_phase p)
{
	static const char *const names[] = { "waiting", "init", "copy", "quiesce", "frozen", "done",
		"failed" };

	return names[p];
}

enum mig_phase mig_phase_of(enum source_state s)
{
	if (s <= SOURCE_TRACK)
		return MIG_PHASE_INIT;
	if (s < SOURCE_FREEZE)
		return MIG_PHASE_COPY;
	if (s == SOURCE_FREEZE)
		return MIG_PHASE_QUIESCE;
	if (s < SOURCE_DONE)
		return MIG_PHASE_FROZEN;
	return s <= SOURCE_MOVED ? MIG_PHASE_DONE : MIG_PHASE_FAILED;
}

static int move_add_regions(
	const struct xport_ops *ops, struct xport *x, const struct gmem *m, struct err *e)
{
	for (uint32_t i = 0; i < m->nregions; i++) {
		int r = ops->region_add(x, i, m->regions[i].host, m->regions[i].size, e);

		if (r)
			return r;
	}
	return 0;
}

static void move_fill_offer(struct mig_source_args *a)
{
	struct rdv_offer *o = &a->offer;

	strncpy(o->transport, a->xport->name, sizeof(o->transport) - 1);
	o->streams = (uint8_t)a->params.streams;
	o->encrypt = a->params.secure.encrypt;
	o->nregions = a->mem->nregions;
	for (uint32_t i = 0; i < a->mem->nregions; i++)
		o->region[i] =
			(struct rdv_region){ a->mem->regions[i].gpa, a->mem->regions[i].size };
}

/* What is left open, from what the link to the target is. */
static void move_look(struct mig_source_args *a, int fd)
{
	struct streams_facts f = { .cpus = streams_cpus(), .bytes = a->offer.allocated_bytes };
	struct link link;

	link_look(fd, &link);
	f.link_mbit = link.mbit;
	if (a->params.streams == STREAMS_AUTO)
		a->params.streams = streams_choose(&f);
	a->node = near_choose(a->mem->backing.nodes, link.node);
}

/* How long a step of connecting that may take @step_ns may take: no longer than the init phase. */
static uint64_t move_within(const struct mig_source_args *a, uint64_t step_ns)
{
	uint64_t limit = a->params.limits.ns[MIG_LIMIT_INIT];
	uint64_t spent = clock_mono_ns() - a->begun_ns;

	if (!limit || limit > spent + step_ns)
		return step_ns;
	return limit > spent ? limit - spent : 1;
}

/* What both ends can do, then the choice. */
static int move_choose(struct mig_source_args *a, struct chan *c, const struct xport_addr *addr,
	struct mig_result *out, struct err *e)
{
	struct rdv_transports here, there;
	int r = rdv_meet(c, addr->memory, move_within(a, a->params.connect_timeout_ns), e);

	if (r)
		return r;
	choose_probe(&a->transports, addr, &here); /* while the target looks at its own */
	r = rdv_can_read(c, &there, move_within(a, MOVE_CAN_NS), e);
	if (r)
		return r;
	a->xport = choose_transport(&a->transports, &here, &there, out->note, e);
	if (!a->xport)
		return e->code;
	strncpy(out->transport, a->xport->name, sizeof(out->transport) - 1);
	if (a->chosen)
		a->chosen(a->arg, a->xport, out->note);
	return 0;
}

/* What is said on the data connection is between those two who met at the rendezvous. */
static int move_seal(struct chan *c, const struct xport_ops **ops, struct xport **x, bool is_target,
	struct err *e)
{
	uint8_t secret[CHAN_KEY_SIZE];
	int r;

	if (!chan_secure(c))
		return 0;
	r = chan_export(c, MOVE_LABEL_MESSAGES, secret, e);
	if (!r)
		r = sealed_wrap(ops, x, secret, is_target, e);
	explicit_bzero(secret, sizeof(secret));
	return r;
}

/* Connects the data connection to where the target said it waits. */
static int move_join(struct mig_source_args *a, struct chan *c, struct xport_addr *addr,
	struct xport **x, struct err *e)
{
	uint8_t secret[CHAN_KEY_SIZE];
	int r;

	if (a->params.secure.encrypt) {
		r = chan_export(c, MOVE_LABEL_STREAMS, secret, e);
		if (r)
			return r;
		addr->secret = secret;
	}
	r = a->xport->connect(x, addr, move_within(a, a->params.connect_timeout_ns), e);
	explicit_bzero(secret, sizeof(secret));
	addr->secret = NULL;
	if (r && !a->transports.named && a->transports.n > 1)
		return err_wrap(e,
			"transport %s, chosen by auto, did not connect (--transport NAME asks for another)",
			a->xport->name);
	if (!r)
		r = move_seal(c, &a->xport, x, false, e);
	return r ? r : move_add_regions(a->xport, *x, a->mem, e);
}

/* Everything up to a connected transport. The rendezvous is returned in @c. */
static int move_connect(struct mig_source_args *a, struct chan **c, struct rdv_clock *clock,
	struct xport **x, struct mig_result *out, struct err *e)
{
	struct xport_addr addr = { .streams = 1,
		.rdma = a->params.rdma,
		.memory = a->offer.allocated_bytes,
		.encrypt = a->params.secure.encrypt };
	uint64_t limit = a->params.connect_timeout_ns;
	struct rdv_transports ignored;
	struct rdv_accept acc;
	int r;

	/* The first probe of a process may load drivers: not while the target's clock runs. */
	choose_probe(&a->transports, NULL, &ignored);
	r = rdv_connect(c, a->host, a->port, &a->params.secure, move_within(a, limit), e);
	if (r)
		return r;
	/* The data goes where the rendezvous went, also when the name has several addresses. */
	r = rdv_host((*c)->fd, true, addr.host, e);
	if (!r)
		r = move_choose(a, *c, &addr, out, e);
	if (!r && a->check)
		r = a->check(a->arg, *c, a->xport, move_within(a, MOVE_CAN_NS), e);
	if (r)
		return r;
	move_look(a, (*c)->fd);
	addr.streams = out->streams = a->params.streams;
	move_fill_offer(a);
	/* It is a watari that is there, and has a machine to build: it may take its time. */
	r = rdv_offer_send(*c, &a->offer, &acc, move_within(a, MOVE_BUILD_NS), e);
	if (!r)
		r = rdv_clock_measure(*c, clock, move_within(a, limit), e);
	if (r)
		return r;
	addr.port = acc.port;
	memcpy(addr.token, acc.token, sizeof(addr.token));
	r = move_join(a, *c, &addr, x, e);
	explicit_bzero(addr.token, sizeof(addr.token));
	return r;
}

/* Why nothing came of the init phase, before there was a state machine to say it. */
static int move_not_connected(const struct mig_source_args *a, int r, struct err *e)
{
	uint64_t limit = a->params.limits.ns[MIG_LIMIT_INIT];

	if (mig_is_cancelled(a->cancel))
		return err_set(e, -ECANCELED,
			"the move was cancelled in its init phase: nothing was sent yet");
	if (limit && clock_mono_ns() - a->begun_ns >= limit)
		return limits_wrap_init(limit, e);
	return r;
}

int mig_source_run(struct mig_source_args *a, struct mig_result *out, struct err *e)
{
	int nobody = MIG_UNDECIDED; /* cancels a move that was given no word for it */
	struct mig_progress prog = { .phase = MIG_PHASE_INIT };
	struct rdv_clock clock = { 0 };
	struct err local = { 0 };
	struct xport *x = NULL;
	struct chan *c = NULL;
	int r;

	if (!e)
		e = &local;
	memset(out, 0, sizeof(*out));
	if (!a->cancel)
		a->cancel = &nobody;
	a->begun_ns = clock_mono_ns();
	if (a->progress)
		a->progress(a->arg, &prog);
	r = move_connect(a, &c, &clock, &x, out, e);
	if (r)
		r = move_not_connected(a, r, e);
	else
		r = pump_source(a, x, c->fd, &clock, out, e);
	out->total_ns = clock_mono_ns() - a->begun_ns;
	if (x)
		a->xport->close(x);
	chan_close(c);
	return r;
}

/* Listens where the rendezvous arrived, answers the offer, waits for the data connection. */
static int move_accept(struct mig_target_args *a, struct xport **x, struct err *e)
{
	struct xport_addr addr = {
		.streams = a->offer->streams, .rdma = a->rdma, .lifeline = a->chan->fd
	};
	struct xport_listener *l = NULL;
	uint8_t secret[CHAN_KEY_SIZE];
	struct rdv_accept acc;
	struct mig_params p;
	int r;

	mig_params_default(&p);
	if (a->offer->encrypt) {
		if (chan_export(a->chan, MOVE_LABEL_STREAMS, secret, e)) {
			rdv_refuse_send(a->chan, e->msg);
			return e->code;
		}
		addr.secret = secret;
	}
	strncpy(addr.host, a->listen_host, sizeof(addr.host) - 1);
	if (getrandom(addr.token, sizeof(addr.token), 0) != sizeof(addr.token))
		return err_errno(e, "cannot make a token for the data connection");
	r = a->xport->listen(&l, &addr, e);
	if (r) {
		rdv_refuse_send(a->chan, e->msg);
		goto out;
	}
	acc.port = addr.port;
	memcpy(acc.token, addr.token, sizeof(acc.token));
	r = rdv_accept_send(a->chan, &acc, p.connect_timeout_ns, e);
	if (!r)
		r = rdv_clock_serve(a->chan, p.connect_timeout_ns, e);
	if (r) { /* the source is gone already; accept() is also what frees the listener */
		a->xport->accept(l, 0, x, NULL);
		goto out;
	}
	r = a->xport->accept(l, p.connect_timeout_ns, x, e);
	if (!r)
		r = move_seal(a->chan, &a->xport, x, true, e);
	if (!r)
		r = move_add_regions(a->xport, *x, a->mem, e);
out:
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(addr.token, sizeof(addr.token));
	return r;
}

/* The offer says what memory the source has; ours was built from its definition. They must agree.
 */
static int move_check_regions(const struct mig_target_args *a, struct err *e)
{
	bool same = a->offer->nregions == a->mem->nregions;

	for (uint32_t i = 0; same && i < a->mem->nregions; i++)
		same = a->offer->region[i].gpa == a->mem->regions[i].gpa &&
		       a->offer->region[i].size == a->mem->regions[i].size;
	if (same)
		return 0;
	err_set(e, -EPROTO, "the source's memory layout is not the one its definition gives here");
	rdv_refuse_send(a->chan, e->msg);
	return e->code;
}

int mig_target_run(struct mig_target_args *a, struct mig_result *out, struct err *e)
{
	struct err local = { 0 };
	struct xport *x = NULL;
	int r;

	if (!e)
		e = &local;
	memset(out, 0, sizeof(*out));
	strncpy(out->transport, a->xport->name, sizeof(out->transport) - 1);
	r = move_check_regions(a, e);
	if (!r)
		r = move_accept(a, &x, e);
	if (!r) {
		struct link link;

		link_look(a->chan->fd, &link);
		a->node = near_choose(a->mem->backing.nodes, link.node);
	}
	if (!r)
		r = pump_target(a, x, out, e);
	a->xport->close(x);
	return r;
}
