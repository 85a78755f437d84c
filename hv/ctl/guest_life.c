/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the requests that start and stop: pause, resume, stop, reset, kill. Must never agree to what
 * a move under way would not carry to the target.
 * Next in the flow: guest.c.
 */
#include <errno.h>

#include "hv/ctl/internal.h"

int ctl_guest_pause(struct ctl_guest *g, bool pause, bool *changed, struct err *e)
{
	struct vm_info info;
	int rc = 0;

	if (guest_refuse_doubt(g, e))
		return e->code;
	if (g->arriving)
		return err_set(e, -EBUSY, "the guest is still arriving");
	if (g->move)
		rc = ctl_move_lock(g->move, e);
	if (rc < 0)
		return rc;
	vm_info(g->vm, &info);
	if (changed)
		*changed = pause != !!(info.hold & VM_HOLD_USER);
	if (pause)
		rc = vm_hold(g->vm, VM_HOLD_USER, e);
	else
		vm_release(g->vm, VM_HOLD_USER);
	if (g->move)
		ctl_move_unlock(g->move);
	return rc;
}

static void guest_pause_op(struct ctl_guest *g, struct ctl_conn *c, bool pause)
{
	struct vm_info info;
	struct err e = { 0 };
	bool changed;

	if (ctl_guest_pause(g, pause, &changed, &e) < 0) {
		ctl_conn_refuse(c, &e);
		return;
	}
	vm_info(g->vm, &info);
	ctl_conn_answer(c, json_pack("{s:b,s:s,s:b}", "ok", 1, "state", guest_state(g, &info),
				   "changed", changed));
}

void op_pause(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	(void)request;
	guest_pause_op(g, c, true);
}

void op_resume(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	(void)request;
	guest_pause_op(g, c, false);
}

/*
 * What would be lost if the state were saved already, or would come too early or too late. On
 * success a move cannot save state before guest_button_done().
 */
static int guest_button(struct ctl_guest *g, const char *what, struct err *e)
{
	struct vm_info info;

	vm_info(g->vm, &info);
	if (guest_refuse_doubt(g, e))
		return e->code;
	if (g->arriving)
		return err_set(e, -EBUSY, "the guest is still arriving");
	if (info.hold & VM_HOLD_USER)
		return err_set(e, -EBUSY, "the guest is paused: resume it first, then %s it", what);
	return g->move ? ctl_move_lock(g->move, e) : 0;
}

static void guest_button_done(struct ctl_guest *g)
{
	if (g->move)
		ctl_move_unlock(g->move);
}

void op_stop(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct err e = { 0 };
	int i = 0;

	(void)request;
	if (guest_button(g, "stop", &e) < 0) {
		ctl_conn_refuse(c, &e);
		return;
	}
	vm_power_button(g->vm);
	guest_button_done(g);
	/* There is room: a held client asks nothing more. */
	while (g->stopping[i])
		i++;
	g->stopping[i] = c;
	ctl_conn_hold(c);
}

void guest_stop_forget(struct ctl_guest *g, const struct ctl_conn *c)
{
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (g->stopping[i] == c)
			g->stopping[i] = NULL;
	}
}

void guest_stopped(struct ctl_guest *g, enum ctl_end why)
{
	static const char *const instead[] = {
		[CTL_END_SHUTDOWN] = NULL,
		[CTL_END_CRASH] = "the guest crashed before it powered off",
		[CTL_END_KILLED] = "the guest was ended before it powered off",
		[CTL_END_MOVED] = "the guest moved to another host before it powered off",
		[CTL_END_LOST] = "the guest did not arrive",
	};
	struct err e;

	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		struct ctl_conn *c = g->stopping[i];

		g->stopping[i] = NULL;
		if (c && !instead[why]) {
			ctl_conn_answer(c, ctl_ok());
		} else if (c) {
			err_set(&e, -ECANCELED, "%s", instead[why]);
			ctl_conn_refuse(c, &e);
		}
	}
}

void op_reset(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct err e = { 0 };
	struct vm_info info;

	(void)request;
	vm_info(g->vm, &info);
	if (g->check)
		err_set(&e, -EBUSY, "guest '%s' is just being checked; ask again",
			vm_config(g->vm)->name);
	else if (g->move)
		err_set(&e, -EBUSY, "the guest is on a move");
	else if (g->in_doubt[0])
		guest_refuse_doubt(g, &e);
	else if (vm_reset(g->vm, &e) < 0)
		err_wrap(&e, "the guest cannot be started again and stays stopped");
	if (e.code)
		ctl_conn_refuse(c, &e);
	else
		ctl_conn_answer(c, ctl_ok());
}

void op_kill(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	(void)request;
	ctl_claim_drop(g->claim); /* whoever has the answer may use the name again */
	ctl_server_close_door(g->server);
	ctl_conn_answer(c, ctl_ok());
	guest_end(g, CTL_END_KILLED, NULL, NULL, NULL);
}
