/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the thread of a move (see migrate.h). Must never touch the loop or a client from that
 * thread: it leaves a snapshot and rings the eventfd.
 * Next in the flow: hv/migrate/move.c; migrate_news.c, on the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/ctl/history.h"
#include "hv/ctl/migrate_parts.h"
#include "hv/ctl/proto.h"
#include "hv/vm/balloon.h"

/* The machine behind the `void *vm` of our save(): found through the move it belongs to. */
static int move_save(void *arg, struct wbuf *w, struct err *e)
{
	struct ctl_move *m = arg;
	struct vm_info info;

	pthread_mutex_lock(&m->lock);
	m->saved = true;
	pthread_mutex_unlock(&m->lock);
	/* vCPUs are stopped, so this is final. Who powered off or rebooted stays: no event travels.
	 */
	vm_info(m->vm, &info);
	if (info.hold & VM_HOLD_STOPPED)
		return err_set(e, -ECANCELED, "the guest stopped or rebooted during the move");
	return vm_mig_ops.save(m->vm, w, e);
}

static int move_track_start(void *arg, struct err *e)
{
	return vm_mig_ops.track_start(((struct ctl_move *)arg)->vm, e);
}

static int move_track_harvest(void *arg, struct dirty_map *d, struct err *e)
{
	return vm_mig_ops.track_harvest(((struct ctl_move *)arg)->vm, d, e);
}

static void move_track_stop(void *arg)
{
	vm_mig_ops.track_stop(((struct ctl_move *)arg)->vm);
}

static void move_throttle(void *arg, unsigned share)
{
	vm_mig_ops.throttle(((struct ctl_move *)arg)->vm, share);
}

static uint64_t move_nudge(void *arg)
{
	return vm_mig_ops.nudge(((struct ctl_move *)arg)->vm);
}

static int move_freeze(void *arg, struct err *e)
{
	struct ctl_move *m = arg;
	int rc;

	ctl_giveway_frozen(&m->turn.giveway, true);
	rc = vm_mig_ops.freeze(m->vm, e);
	if (rc)
		ctl_giveway_frozen(&m->turn.giveway, false);
	return rc;
}

static void move_thaw(void *arg)
{
	struct ctl_move *m = arg;

	/* before the source can hear of it: who asks the target then must find the guest there */
	pthread_mutex_lock(&m->lock);
	m->landed = !m->leaving;
	pthread_mutex_unlock(&m->lock);
	vm_mig_ops.thaw(m->vm);
	ctl_giveway_frozen(&m->turn.giveway, false);
}

static void move_freeze_abandon(void *arg)
{
	struct ctl_move *m = arg;

	vm_mig_ops.freeze_abandon(m->vm);
	ctl_giveway_frozen(&m->turn.giveway, false);
}

static int move_load(void *arg, struct rbuf *r, uint64_t elapsed_ns, struct err *e)
{
	return vm_mig_ops.load(((struct ctl_move *)arg)->vm, r, elapsed_ns, e);
}

/* The machine's own operations, but for a look at the last moment before the state is read. */
static const struct mig_vm_ops move_vm_ops = {
	.track_start = move_track_start,
	.track_harvest = move_track_harvest,
	.track_stop = move_track_stop,
	.throttle = move_throttle,
	.nudge = move_nudge,
	.freeze = move_freeze,
	.thaw = move_thaw,
	.freeze_abandon = move_freeze_abandon,
	.save = move_save,
	.load = move_load,
};

static void move_who(void *arg, struct mig_owner *out)
{
	vm_owner_ops.who(((struct ctl_move *)arg)->vm, out);
}

static int move_release(void *arg, struct err *e)
{
	return vm_owner_ops.release(((struct ctl_move *)arg)->vm, e);
}

static enum mig_acquire move_acquire(void *arg, uint64_t epoch, struct err *e)
{
	return vm_owner_ops.acquire(((struct ctl_move *)arg)->vm, epoch, e);
}

static const struct mig_owner_ops move_owner_ops = {
	.who = move_who,
	.release = move_release,
	.acquire = move_acquire,
};

static void move_ring(struct ctl_move *m)
{
	uint64_t one = 1;

	if (write(m->efd, &one, sizeof(one)) < 0)
		return; /* only when it is rung 2^64 times already */
}

static void move_chosen(void *arg, const struct xport_ops *xport, const char *note)
{
	struct ctl_move *m = arg;

	pthread_mutex_lock(&m->lock);
	m->transport = xport->name;
	snprintf(m->note, sizeof(m->note), "%s", note);
	pthread_mutex_unlock(&m->lock);
	move_ring(m);
}

/* Before the offer. The report is written here alone and, once it is told of, never again. */
static int move_check(void *arg, struct chan *c, const struct xport_ops *xport, uint64_t timeout_ns,
	struct err *e)
{
	struct ctl_move *m = arg;
	struct pf_report report;
	int rc = ctl_preflight_move(&m->preflight, c, xport, timeout_ns, &report, e);

	pthread_mutex_lock(&m->lock);
	if (!m->checked) /* after a busy target it is asked again, while the loop may read this */
		m->report = report;
	m->checked = true;
	pthread_mutex_unlock(&m->lock);
	move_ring(m);
	return rc;
}

static void move_progress(void *arg, const struct mig_progress *p)
{
	struct ctl_move *m = arg;

	pthread_mutex_lock(&m->lock);
	m->progress = *p;
	pthread_mutex_unlock(&m->lock);
	move_ring(m);
}

/* On the move's thread, which may wait for a disk. A history that cannot be kept fails no move. */
static void move_remember(struct ctl_move *m)
{
	char here[CTL_HOST_MAX] = "", peer[CTL_ADDR_MAX] = "", skipped[PF_SAID_MAX];
	struct err e = { 0 };
	struct history_move h = { .guest = vm_config(m->vm)->name,
		.leaving = m->leaving,
		.from = m->leaving ? here : peer,
		.to = m->leaving ? peer : here,
		.real_ns = clock_real_ns(),
		.rc = m->rc,
		.skipped = pf_skip_format(m->preflight.skip, skipped, sizeof(skipped)),
		.result = &m->result,
		.err = &m->err };

	gethostname(here, sizeof(here) - 1);
	if (m->leaving)
		ctl_addr_format(&m->to, peer);
	else
		snprintf(peer, sizeof(peer), "%s", m->from);
	if (history_append(ctl_state_dir(), &h, HISTORY_MOST, &e) < 0)
		log_warn("the move of guest %s is not in the history: %s", h.guest, e.msg);
}

/* ---- its turn -------------------------------------------------------------------------------- */

static void move_waits(void *arg, const char *waits)
{
	struct ctl_move *m = arg;

	pthread_mutex_lock(&m->lock);
	snprintf(m->waits, sizeof(m->waits), "%s", waits);
	if (waits[0]) /* for the first time, or again: after a target that was busy */
		m->progress = (struct mig_progress){ .phase = MIG_PHASE_WAITING };
	pthread_mutex_unlock(&m->lock);
	move_ring(m);
}

static bool move_others_frozen(void *arg)
{
	return ctl_giveway_asked(&((struct ctl_move *)arg)->turn.giveway);
}

static int move_leave_once(struct ctl_move *m)
{
	int rc = ctl_turn_take(&m->turn, &m->err);

	if (rc == 0)
		rc = ctl_offer_fill(&m->source.offer, m->vm, &m->err);
	if (rc == 0) {
		/* From before the transport may register memory until it has let go of it. */
		vm_keep_memory(m->vm, true);
		rc = mig_source_run(&m->source, &m->result, &m->err);
		vm_keep_memory(m->vm, false);
	}
	ctl_turn_end(&m->turn);
	return rc;
}

static int move_leave(struct ctl_move *m)
{
	int rc;

	do
		rc = move_leave_once(m);
	while (ctl_turn_again(&m->turn, &rc, &m->err));
	return rc;
}

static void *move_thread(void *arg)
{
	struct ctl_move *m = arg;

	pthread_setname_np(pthread_self(), m->leaving ? "mig-source" : "mig-target");
	if (m->leaving)
		m->rc = move_leave(m);
	else
		m->rc = mig_target_run(&m->target, &m->result, &m->err);
	move_remember(m);
	pthread_mutex_lock(&m->lock);
	m->done = true;
	pthread_mutex_unlock(&m->lock);
	move_ring(m);
	return NULL;
}

void move_free(struct ctl_move *m)
{
	if (m->efd >= 0) {
		loop_del(m->loop, m->efd);
		close(m->efd);
	}
	chan_close(m->chan);
	ctl_turn_end(&m->turn);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static struct ctl_move *move_new(
	struct loop *l, struct vm *vm, const struct ctl_move_hooks *hooks, struct err *e)
{
	struct ctl_move *m = calloc(1, sizeof(*m));

	if (!m) {
		err_set(e, -ENOMEM, "no memory for a move");
		return NULL;
	}
	m->loop = l;
	m->vm = vm;
	m->hooks = *hooks;
	m->transport = "";
	m->turn = (struct ctl_turn){ .slot = CTL_SLOT_NONE, .giveway = { -1, -1 } };
	ctl_cancel_init(&m->cancelled, l);
	pthread_mutex_init(&m->lock, NULL);
	m->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->efd < 0) {
		err_errno(e, "cannot make an eventfd for the move");
		move_free(m);
		return NULL;
	}
	return m;
}

static int move_start(struct ctl_move *m, struct err *e)
{
	int rc = loop_add(m->loop, m->efd, EPOLLIN, move_news, m, e);

	if (rc < 0)
		return rc;
	rc = pthread_create(&m->thread, NULL, move_thread, m);
	if (rc)
		return err_set(e, -rc, "cannot start the move's thread: %s", strerrordesc_np(rc));
	return 0;
}

int ctl_move_leave(struct ctl_move **out, struct loop *l, struct vm *vm, const struct ctl_addr *to,
	const struct xport_list *transports, const struct mig_params *params, uint64_t skip,
	const struct ctl_move_turn *turn, const struct ctl_move_hooks *hooks, struct err *e)
{
	struct ctl_move *m = move_new(l, vm, hooks, e);
	char text[CTL_ADDR_MAX];
	int rc;

	*out = NULL;
	if (!m)
		return e ? e->code : -ENOMEM;
	m->leaving = true;
	m->to = *to;
	m->turn = (struct ctl_turn){ .wish = *turn,
		.slot = CTL_SLOT_NONE,
		.giveway = { -1, -1 },
		.say = move_waits,
		.arg = m,
		.cancel = &m->cancel };
	snprintf(m->turn.what, sizeof(m->turn.what), "guest %s to %s", vm_config(vm)->name,
		ctl_addr_format(to, text));
	m->preflight = (struct ctl_preflight){
		.vm = vm, .skip = skip, .downtime_limit_ns = params->downtime_limit_ns
	};
	m->source = (struct mig_source_args){
		.mem = vm_mem(vm),
		.ops = &move_vm_ops,
		.own = &move_owner_ops,
		.vm = m,
		.host = m->to.host,
		.port = m->to.port,
		.transports = *transports,
		.params = *params,
		.chosen = move_chosen,
		.check = move_check,
		.progress = move_progress,
		.way = { .others_frozen = move_others_frozen, .arg = m },
		.arg = m,
		.cancel = &m->cancel,
	};
	mig_points_read(&m->source.points);
	rc = ctl_turn_begin(&m->turn, e);
	if (rc < 0)
		err_wrap(e, "guest '%s' cannot leave now", vm_config(vm)->name);
	else
		rc = move_start(m, e);
	if (rc < 0) {
		move_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

int ctl_move_arrive(struct ctl_move **out, struct loop *l, struct vm *vm, struct chan *chan,
	const char *listen_host, const struct xport_ops *xport, const struct xport_rdma *rdma,
	const struct rdv_offer *offer, const struct ctl_move_hooks *hooks, struct err *e)
{
	struct ctl_move *m = move_new(l, vm, hooks, e);
	int rc;

	*out = NULL;
	if (!m)
		return e ? e->code : -ENOMEM;
	m->chan = chan;
	m->offer = *offer;
	snprintf(m->listen_host, sizeof(m->listen_host), "%s", listen_host);
	if (rdv_host(chan->fd, true, m->from, NULL) < 0)
		m->from[0] = '\0';
	m->target = (struct mig_target_args){
		.mem = vm_mem(vm),
		.ops = &move_vm_ops,
		.own = &move_owner_ops,
		.vm = m,
		.chan = chan,
		.listen_host = m->listen_host,
		.xport = xport,
		.rdma = *rdma,
		.offer = &m->offer,
		.progress = move_progress,
		.arg = m,
	};
	mig_points_read(&m->target.points);
	rc = move_start(m, e);
	if (rc < 0) {
		m->chan = NULL; /* stays the caller's, who may want to refuse on it */
		move_free(m);
		return rc;
	}
	*out = m;
	return 0;
}
