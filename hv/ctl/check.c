/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the thread of a check (see check.h) and the request for one. Must never touch the loop or a
 * client from that thread: it rings an eventfd. Next in the flow: preflight.c.
 */
#include "hv/ctl/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/internal.h"

struct ctl_check {
	struct loop *loop;
	struct ctl_preflight args;
	void (*done)(void *arg, const struct pf_report *p);
	void *arg;
	int efd;
	pthread_t thread;
	struct pf_report report; /* the thread's, until it has rung */
};

static void *check_thread(void *arg)
{
	struct ctl_check *k = arg;
	uint64_t one = 1;

	pthread_setname_np(pthread_self(), "check");
	ctl_preflight_check(&k->args, &k->report);
	(void)!write(k->efd, &one, sizeof(one));
	return NULL;
}

static void check_free(struct ctl_check *k)
{
	if (k->efd >= 0) {
		loop_del(k->loop, k->efd);
		close(k->efd);
	}
	free(k);
}

static void check_news(void *arg, uint32_t events)
{
	struct ctl_check *k = arg;

	(void)events;
	pthread_join(k->thread, NULL);
	k->done(k->arg, &k->report);
	check_free(k);
}

int ctl_check_start(struct ctl_check **out, struct loop *l, const struct ctl_preflight *p,
	void (*done)(void *arg, const struct pf_report *p), void *arg, struct err *e)
{
	struct ctl_check *k = calloc(1, sizeof(*k));
	int rc;

	*out = NULL;
	if (!k)
		return err_set(e, -ENOMEM, "no memory for a check");
	k->loop = l;
	k->args = *p;
	k->done = done;
	k->arg = arg;
	k->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = k->efd < 0 ? err_errno(e, "cannot make an eventfd for the check")
			: loop_add(l, k->efd, EPOLLIN, check_news, k, e);
	if (rc == 0) {
		rc = pthread_create(&k->thread, NULL, check_thread, k);
		if (rc)
			rc = err_set(
				e, -rc, "cannot start the check's thread: %s", strerrordesc_np(rc));
	}
	if (rc < 0) {
		check_free(k);
		return rc;
	}
	*out = k;
	return 0;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void guest_check_done(void *arg, const struct pf_report *p)
{
	struct ctl_guest *g = arg;

	g->check = NULL;
	if (g->asker)
		ctl_conn_answer(g->asker,
			json_pack("{s:b,s:s,s:o}", "ok", 1, "result", pf_level_name(p->worst),
				"checks", ctl_preflight_json(p, PF_PASS)));
	g->asker = NULL;
	if (g->event != VM_EVENT_NONE)
		guest_act(g); /* it did something meanwhile */
}

static int guest_check_params(
	struct ctl_guest *g, const json_t *j, struct ctl_preflight *p, struct err *e)
{
	const char *to = NULL, *transport = "auto";
	int rc;

	*p = (struct ctl_preflight){
		.vm = g->vm, .thorough = true, .downtime_limit_ns = 10 * NSEC_PER_MSEC
	};
	if ((rc = ctl_get_str(j, "to", &to, e)) < 0 ||
		(rc = ctl_get_str(j, "transport", &transport, e)) < 0 ||
		(rc = ctl_get_u64(j, "downtime_limit_ns", 1, 60 * NSEC_PER_SEC,
			 &p->downtime_limit_ns, e)) < 0 ||
		(rc = ctl_preflight_skip(j, &p->skip, e)) < 0)
		return rc;
	if (!to)
		return err_set(e, -EINVAL, "'to' is missing: where might the guest move?");
	rc = g->hooks.transports(transport, &p->transports, e);
	return rc < 0 ? rc : ctl_addr_parse(to, NULL, 1, &p->to, e);
}

void op_check(struct ctl_guest *g, struct ctl_conn *c, const json_t *request)
{
	const char *name = vm_config(g->vm)->name;
	struct ctl_preflight p;
	struct err e = { 0 };
	struct vm_info info;
	int rc;

	vm_info(g->vm, &info);
	if (g->move || g->in_doubt[0])
		rc = err_set(&e, -EBUSY, "guest '%s' is on a move", name);
	else if (g->check)
		rc = err_set(&e, -EBUSY, "guest '%s' is being checked already; ask again", name);
	else if (info.hold & VM_HOLD_STOPPED)
		rc = err_set(&e, -EBUSY, "guest '%s' has stopped", name);
	else
		rc = guest_check_params(g, request, &p, &e);
	if (rc == 0)
		rc = ctl_check_start(&g->check, g->loop, &p, guest_check_done, g, &e);
	if (rc < 0) {
		ctl_conn_refuse(c, &e);
		return;
	}
	g->asker = c;
	ctl_conn_hold(c);
}
