/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what happens to a guest in doubt: after a cut in the hand-over nobody could say whose it is,
 * so it is kept frozen until a person runs it here (`own`) or ends it (`kill`), or its next move
 * here takes its place. Must never let it run without having acquired it.
 * Next in the flow: hv/vm/owner.c.
 */
#include <errno.h>
#include <stdio.h>

#include "hv/base/log.h"
#include "hv/ctl/internal.h"

void guest_doubt(struct ctl_guest *g, bool arriving, const struct err *e)
{
	snprintf(g->in_doubt, sizeof(g->in_doubt), "%s", e->msg);
	g->doubt_arriving = arriving;
	log_warn("guest %s is in doubt: %s", vm_config(g->vm)->name, e->msg);
}

int guest_refuse_doubt(const struct ctl_guest *g, struct err *e)
{
	if (!g->in_doubt[0])
		return 0;
	return err_set(e, -EBUSY, "the guest may run on the other host: %s", g->in_doubt);
}

static int own_acquire(struct ctl_guest *g, struct err *e)
{
	const char *name = vm_config(g->vm)->name;
	struct mig_owner who;

	vm_owner_ops.who(g->vm, &who);
	switch (vm_owner_ops.acquire(g->vm, who.epoch, e)) {
	case MIG_ACQUIRED: return 0;
	case MIG_HELD:
		return err_wrap(
			e, "guest %s cannot be run here: another host holds its disk", name);
	case MIG_DENIED:
		return err_wrap(e,
			"guest %s cannot be run here, it is not this host's any more ('watari kill "
			"%s' ends this copy)",
			name, name);
	case MIG_MUTE:
		return err_wrap(
			e, "guest %s cannot be run here: the storage does not answer", name);
	}
	return -EIO;
}

void op_own(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	struct mig_result none = { 0 };
	struct vm_info info;
	struct err e = { 0 };
	int rc = 0;

	(void)request;
	if (!g->in_doubt[0])
		rc = err_set(&e, -EINVAL, "guest '%s' is not in doubt: there is nothing to settle",
			vm_config(g->vm)->name);
	else
		rc = own_acquire(g, &e);
	if (rc < 0) {
		ctl_conn_refuse(c, &e);
		return;
	}
	g->in_doubt[0] = '\0';
	vm_mig_ops.thaw(g->vm);
	if (g->doubt_arriving)
		g->hooks.arrived(g->hooks.arg, &none);
	vm_info(g->vm, &info);
	ctl_conn_answer(c, json_pack("{s:b,s:s}", "ok", 1, "state", guest_state(g, &info)));
	guest_act(g); /* what it did before it was frozen */
}
