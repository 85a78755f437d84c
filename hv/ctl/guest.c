/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the requests a guest understands: the table messages[] (docs/control-socket.md). Must never
 * wait: what takes time is a move on its own thread (migrate.c).
 * Invariant: once `over` or `in_doubt` is set, nothing makes the vCPUs run here again.
 * Next in the flow: internal.h, guest_status.c, guest_life.c, migrate.c.
 */
#include "hv/ctl/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/ctl/console.h"
#include "hv/ctl/internal.h"
#include "hv/ctl/limits.h"
#include "hv/ctl/preflight.h"
#include "hv/ctl/secure.h"

#define GUEST_DRAIN_MS 1000 /* how long a reader may take to fetch the last answer */

void guest_end(struct ctl_guest *g, enum ctl_end why, const struct ctl_addr *to,
	const struct mig_result *r, const struct err *e)
{
	if (g->over)
		return;
	g->over = true;
	/* Whoever hears of it may use the name again, as after a kill or a move. */
	if (why == CTL_END_SHUTDOWN) {
		ctl_claim_drop(g->claim);
		ctl_server_close_door(g->server);
	}
	guest_stopped(g, why);
	ctl_server_drain(g->server, GUEST_DRAIN_MS);
	g->hooks.end(g->hooks.arg, why, to, r, e);
}

/* ---- moving ---------------------------------------------------------------------------------- */

void guest_act(struct ctl_guest *g)
{
	enum vm_event event = g->event;
	struct vm_info info;
	struct err e = { 0 };

	g->event = VM_EVENT_NONE;
	if (event == VM_EVENT_SHUTDOWN) {
		guest_end(g, CTL_END_SHUTDOWN, NULL, NULL, NULL);
	} else if (event == VM_EVENT_CRASH) {
		vm_info(g->vm, &info);
		err_set(&e, -EIO, "%s", info.reason);
		guest_end(g, CTL_END_CRASH, NULL, NULL, &e);
	} else if (event == VM_EVENT_RESET && vm_reset(g->vm, &e) < 0) {
		err_wrap(&e, "the guest cannot be rebooted");
		guest_end(g, CTL_END_CRASH, NULL, NULL, &e);
	} else if (event == VM_EVENT_RESET) {
		vm_info(g->vm, &info);
		log_info("guest %s starts again: %s", vm_config(g->vm)->name, info.last_reset);
	}
}

static void guest_vm_event(void *arg, uint32_t events)
{
	struct ctl_guest *g = arg;
	enum vm_event event = vm_take_event(g->vm);

	(void)events;
	if (event == VM_EVENT_NONE || g->over)
		return;
	g->event = event;
	if (g->move)
		ctl_move_cancel(
			g->move); /* a guest that stopped is dealt with here, after the move */
	else if (!g->check)       /* after the check, which looks at the machine */
		guest_act(g);
}

static void guest_chosen(void *arg, const char *transport, const char *note)
{
	struct ctl_guest *g = arg;

	if (g->asker)
		ctl_conn_event(g->asker, ctl_chosen_json(transport, note));
}

static void guest_waits(void *arg, const char *waits)
{
	struct ctl_guest *g = arg;

	if (g->asker)
		ctl_conn_event(g->asker, ctl_waiting_json(waits));
}

static void guest_checked(void *arg, const struct pf_report *p)
{
	struct ctl_guest *g = arg;

	if (g->asker)
		ctl_conn_event(g->asker, json_pack("{s:s,s:o}", "event", "checks", "checks",
						 ctl_preflight_json(p, PF_SKIPPED)));
}

static void guest_progress(void *arg, const struct mig_progress *p)
{
	struct ctl_guest *g = arg;

	if (g->asker)
		ctl_conn_event(g->asker, ctl_progress_json(p));
}

static void guest_left(void *arg, int rc, const struct mig_result *r, const struct err *e)
{
	struct ctl_guest *g = arg;
	struct mig_progress p;
	struct ctl_addr to;

	ctl_move_look(g->move, &to, NULL, &p);
	g->move = NULL;
	if (rc == 0) {
		g->hooks.left(g->hooks.arg, &to);
		/* the name is free before anybody learns it: the guest may come back at once */
		ctl_claim_drop(g->claim);
		ctl_server_close_door(g->server);
	} else if (r->in_doubt) {
		guest_doubt(g, false, e);
	}
	if (r->unconfirmed)
		log_warn("guest %s: %s", vm_config(g->vm)->name, e->msg);
	if (g->asker && rc == 0)
		ctl_conn_answer(
			g->asker, json_pack("{s:b,s:o}", "ok", 1, "result", ctl_result_json(r)));
	else if (g->asker)
		ctl_conn_refuse(g->asker, e);
	g->asker = NULL;
	if (rc == 0)
		guest_end(g, CTL_END_MOVED, &to, r, NULL);
	else if (!r->in_doubt)
		guest_act(g);
}

static int guest_move_params(struct ctl_guest *g, const json_t *j, struct ctl_addr *to,
	struct xport_list *transports, struct mig_params *p, struct err *e)
{
	const char *text = NULL, *transport = "auto", *stall = "throttle", *device = NULL,
		   *pin = NULL;
	uint64_t streams;
	int rc;

	mig_params_default(p);
	p->connect_timeout_ns = CTL_MOVE_CONNECT_NS;
	streams = p->streams;
	if ((rc = ctl_get_str(j, "to", &text, e)) < 0 ||
		(rc = ctl_get_str(j, "transport", &transport, e)) < 0 ||
		(rc = ctl_get_str(j, "on_stall", &stall, e)) < 0 ||
		(rc = ctl_get_str(j, "rdma_device", &device, e)) < 0 ||
		(rc = ctl_get_str(j, "rdma_pin", &pin, e)) < 0 ||
		(rc = xport_rdma_parse(device, pin, &p->rdma, e)) < 0 ||
		(rc = ctl_get_u64(j, "streams", 0, 16, &streams, e)) < 0 ||
		(rc = ctl_get_u64(j, "bandwidth", 0, INT64_MAX, &p->bandwidth, e)) < 0 ||
		(rc = ctl_get_u64(j, "test_stall_ns", 0, NSEC_PER_SEC, &p->test_stall_ns, e)) < 0 ||
		(rc = ctl_get_u64(j, "downtime_limit_ns", 1, 60 * NSEC_PER_SEC,
			 &p->downtime_limit_ns, e)) < 0 ||
		(rc = ctl_limits_get(j, p->downtime_limit_ns, &p->limits, e)) < 0 ||
		(rc = ctl_secure_get(j, &p->secure, e)) < 0)
		return rc;
	if (!text)
		return err_set(e, -EINVAL, "'to' is missing: where shall the guest move?");
	if (mig_on_stall_parse(stall, &p->on_stall, e))
		return e->code;
	p->streams = (unsigned)streams;
	rc = g->hooks.transports(transport, transports, e);
	if (rc < 0)
		return rc;
	return ctl_addr_parse(text, NULL, 1, to, e);
}

static int guest_move_turn(const json_t *j, struct ctl_move_turn *t, struct err *e)
{
	const json_t *no_wait = json_object_get(j, "no_wait");
	uint64_t most = CTL_SLOTS_OUT;
	int rc = ctl_get_u64(j, "max_moves", 1, CTL_SLOTS_MAX, &most, e);

	if (rc == 0 && no_wait && !json_is_boolean(no_wait))
		rc = err_set(e, -EINVAL, "'no_wait' is not true or false");
	t->most = (unsigned)most;
	t->no_wait = json_is_true(no_wait);
	return rc;
}

static int guest_moves_already(struct ctl_guest *g, struct err *e)
{
	const char *name = vm_config(g->vm)->name;
	char text[CTL_ADDR_MAX];
	struct mig_progress p;
	struct ctl_addr to;

	if (g->arriving)
		return err_set(e, -EBUSY, "guest '%s' is still arriving here", name);
	ctl_move_look(g->move, &to, NULL, &p);
	return err_set(e, -EBUSY,
		"guest '%s' is on a move already, to %s; 'watari cancel %s' gives that up", name,
		ctl_addr_format(&to, text), name);
}

static void op_cancel(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct err e = { 0 };

	(void)request;
	if (g->move) {
		ctl_move_cancel_for(g->move, c);
		return;
	}
	if (g->in_doubt[0])
		err_set(&e, -EALREADY, "it is too late: %s", g->in_doubt);
	else
		err_set(&e, -EINVAL, "guest '%s' is not on a move", vm_config(g->vm)->name);
	ctl_conn_refuse(c, &e);
}

static void op_migrate(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	const struct ctl_move_hooks hooks = {
		.waiting = guest_waits,
		.chosen = guest_chosen,
		.checked = guest_checked,
		.progress = guest_progress,
		.done = guest_left,
		.arg = g,
	};
	struct xport_list transports;
	struct mig_params params;
	struct ctl_move_turn turn;
	struct ctl_addr to;
	struct vm_info info;
	struct err e = { 0 };
	uint64_t skip = 0;
	int rc;

	vm_info(g->vm, &info);
	if (g->in_doubt[0])
		rc = guest_refuse_doubt(g, &e);
	else if (g->move)
		rc = guest_moves_already(g, &e);
	else if (g->check)
		rc = err_set(&e, -EBUSY, "guest '%s' is just being checked; ask again",
			vm_config(g->vm)->name);
	else if (info.hold & VM_HOLD_STOPPED)
		rc = err_set(&e, -EBUSY, "guest '%s' has stopped", vm_config(g->vm)->name);
	else
		rc = guest_move_params(g, request, &to, &transports, &params, &e);
	if (rc == 0)
		rc = ctl_preflight_skip(request, &skip, &e);
	if (rc == 0)
		rc = guest_move_turn(request, &turn, &e);
	if (rc == 0)
		rc = ctl_move_leave(&g->move, g->loop, g->vm, &to, &transports, &params, skip,
			&turn, &hooks, &e);
	if (rc < 0) {
		ctl_conn_refuse(c, &e);
		return;
	}
	g->asker = c;
	ctl_conn_hold(c);
}

static void guest_waiting(struct ctl_guest *g);

static void guest_arrived(void *arg, int rc, const struct mig_result *r, const struct err *e)
{
	struct ctl_guest *g = arg;

	g->move = NULL;
	g->arriving = false;
	g->since_ns = clock_mono_ns();
	if (rc < 0 && r->in_doubt) {
		guest_doubt(g, true, e);
		guest_waiting(g);
		return;
	}
	if (rc < 0) {
		ctl_claim_drop(g->claim);
		guest_end(g, CTL_END_LOST, NULL, NULL, e);
		return;
	}
	if (r->unconfirmed)
		log_warn("guest %s runs here: %s; by the lock on its disk it is this host's",
			vm_config(g->vm)->name, e->msg);
	g->hooks.arrived(g->hooks.arg, r);
	guest_act(g); /* it may have stopped between the thaw and now */
	guest_waiting(g);
}

int ctl_guest_arrive(struct ctl_guest *g, struct chan *chan, const char *listen_host,
	const struct xport_rdma *rdma, const struct rdv_offer *offer, struct err *e)
{
	const struct ctl_move_hooks hooks = { .done = guest_arrived, .arg = g };
	struct xport_list one;
	int rc = g->hooks.transports(offer->transport, &one, e);

	if (rc == 0 && !one.named)
		rc = err_set(e, -EPROTO, "the source did not choose a transport");
	if (rc < 0)
		return rc;
	rc = ctl_move_arrive(
		&g->move, g->loop, g->vm, chan, listen_host, one.ops[0], rdma, offer, &hooks, e);
	g->arriving = rc == 0;
	return rc;
}

bool ctl_guest_moving(const struct ctl_guest *g)
{
	return g->move != NULL || g->check != NULL;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
	const char *op;
	void (*run)(struct ctl_guest *g, struct ctl_conn *c, const json_t *request);
	bool settled; /* only once the guest is all here; until then the request waits */
} messages[] = {
	{ .op = "status", .run = op_status },
	{ .op = "pause", .run = op_pause, .settled = true },
	{ .op = "resume", .run = op_resume, .settled = true },
	{ .op = "stop", .run = op_stop, .settled = true },
	{ .op = "reset", .run = op_reset, .settled = true },
	{ .op = "kill", .run = op_kill },
	{ .op = "definition", .run = op_definition },
	{ .op = "memory", .run = op_memory },
	{ .op = "balloon", .run = op_balloon, .settled = true },
	{ .op = "migrate", .run = op_migrate, .settled = true },
	{ .op = "cancel", .run = op_cancel },
	{ .op = "check", .run = op_check, .settled = true },
	{ .op = "own", .run = op_own, .settled = true },
};

/* Keeps a request for guest_waiting(). Always finds room: a held client asks nothing more. */
static void guest_wait_add(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct guest_wait *w = g->waiting;

	while (w->conn)
		w++;
	w->conn = c;
	w->request = json_deep_copy(request);
	ctl_conn_hold(c);
}

static void guest_request(void *arg, struct ctl_conn *c, const char *op, const json_t *request)
{
	struct ctl_guest *g = arg;
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (strcmp(messages[i].op, op) != 0 || g->over)
			continue;
		if (messages[i].settled && g->arriving && ctl_move_landed(g->move))
			guest_wait_add(g, c, request);
		else
			messages[i].run(g, c, request);
		return;
	}
	if (g->over)
		err_set(&e, -ESHUTDOWN, "the guest's process is ending");
	else
		err_set(&e, -ENOSYS, "unknown request '%.64s'", op);
	ctl_conn_refuse(c, &e);
}

/* The arrival is over: now for those who were quicker. */
static void guest_waiting(struct ctl_guest *g)
{
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		struct guest_wait w = g->waiting[i];
		const char *op = json_string_value(json_object_get(w.request, "op"));

		g->waiting[i] = (struct guest_wait){ 0 };
		if (w.conn)
			guest_request(g, w.conn, op ? op : "", w.request);
		json_decref(w.request);
	}
}

static void guest_leave(void *arg, struct ctl_conn *c, bool gone)
{
	struct ctl_guest *g = arg;

	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (!gone || g->waiting[i].conn != c)
			continue;
		json_decref(g->waiting[i].request);
		g->waiting[i] = (struct guest_wait){ 0 };
	}
	if (gone)
		guest_stop_forget(g, c);
	if (gone && g->move)
		ctl_move_forget(g->move, c);
	if (c != g->asker)
		return;
	if (g->move)
		ctl_move_cancel(g->move);
	if (gone)
		g->asker = NULL;
}

static const struct ctl_server_ops guest_server_ops = {
	.request = guest_request,
	.leave = guest_leave,
};

static void guest_typed(void *arg, const void *data, size_t n)
{
	struct ctl_guest *g = arg;

	vm_input(g->vm, data, n);
}

static size_t guest_room(void *arg)
{
	struct ctl_guest *g = arg;

	return vm_input_room(g->vm);
}

/* The guest has taken what had been typed. */
static void guest_took(void *arg, uint32_t events)
{
	struct ctl_guest *g = arg;

	(void)events;
	vm_input_look(g->vm);
	ctl_console_room(g->console);
	if (g->hooks.room)
		g->hooks.room(g->hooks.arg);
}

static int guest_console(struct ctl_guest *g, struct err *e)
{
	const struct ctl_console_input in = { .room = guest_room, .take = guest_typed, .arg = g };
	struct scrollback *s = vm_scrollback(g->vm);
	int fd;

	if (!s)
		return 0;
	fd = ctl_claim_listen_console(g->claim, e);
	return fd < 0 ? fd : ctl_console_new(&g->console, g->loop, fd, s, &in, e);
}

int ctl_guest_new(struct ctl_guest **out, struct loop *l, struct vm *vm, struct ctl_claim *claim,
	const struct ctl_guest_hooks *hooks, struct err *e)
{
	struct ctl_guest *g = calloc(1, sizeof(*g));
	int rc;

	*out = NULL;
	if (!g)
		return err_set(e, -ENOMEM, "no memory for the guest's control");
	g->loop = l;
	g->vm = vm;
	g->claim = claim;
	g->hooks = *hooks;
	g->since_ns = clock_mono_ns();
	rc = loop_add(l, vm_event_fd(vm), EPOLLIN, guest_vm_event, g, e);
	if (rc == 0)
		rc = loop_add(l, vm_input_fd(vm), EPOLLIN, guest_took, g, e);
	if (rc == 0)
		rc = guest_console(g, e);
	if (rc == 0)
		rc = ctl_claim_listen(claim, e);
	if (rc >= 0)
		rc = ctl_server_new(&g->server, l, rc, &guest_server_ops, g, e);
	if (rc < 0) {
		ctl_console_free(g->console);
		loop_del(l, vm_input_fd(vm));
		loop_del(l, vm_event_fd(vm));
		free(g);
		return rc;
	}
	*out = g;
	return 0;
}

void ctl_guest_free(struct ctl_guest *g)
{
	if (!g)
		return;
	g->over = true;
	g->asker = NULL;
	ctl_server_free(g->server);
	ctl_console_free(g->console);
	loop_del(g->loop, vm_input_fd(g->vm));
	loop_del(g->loop, vm_event_fd(g->vm));
	free(g);
}
