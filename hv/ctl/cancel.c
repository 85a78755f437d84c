/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the answers to `cancel` (see cancel.h). Must never answer one client twice, nor one that is
 * gone. Next in the flow: server.c.
 */
#include "hv/ctl/cancel.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hv/ctl/proto.h"

void ctl_cancel_init(struct ctl_cancel *k, struct loop *l)
{
	memset(k, 0, sizeof(*k));
	k->loop = l;
	k->timer_fd = -1;
}

static json_t *cancel_answer(const struct ctl_cancel *k, const struct err *why)
{
	json_t *j = json_pack(
		"{s:b,s:s,s:b}", "ok", 1, "phase", mig_phase_name(k->phase), "ended", why != NULL);
	json_t *reason = why ? json_string(why->msg) : NULL; /* NULL if it quotes no UTF-8 */

	if (j && reason)
		json_object_set_new(j, "reason", reason);
	return j;
}

static void cancel_answer_all(struct ctl_cancel *k, const struct err *why)
{
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		struct ctl_conn *c = k->waiting[i];

		k->waiting[i] = NULL;
		if (c)
			ctl_conn_answer(c, cancel_answer(k, why));
	}
	if (k->timer_fd < 0)
		return;
	loop_del(k->loop, k->timer_fd);
	close(k->timer_fd);
	k->timer_fd = -1;
}

static void cancel_late(void *arg, uint32_t events)
{
	(void)events;
	cancel_answer_all(arg, NULL);
}

/* False: there is no timer, and so no waiting. */
static bool cancel_start_timer(struct ctl_cancel *k)
{
	const struct itimerspec in = { .it_value.tv_nsec = CTL_CANCEL_MS * 1000000l };

	if (k->timer_fd >= 0)
		return true; /* of the one who was first */
	k->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (k->timer_fd < 0)
		return false;
	if (timerfd_settime(k->timer_fd, 0, &in, NULL) == 0 &&
		loop_add(k->loop, k->timer_fd, EPOLLIN, cancel_late, k, NULL) == 0)
		return true;
	close(k->timer_fd);
	k->timer_fd = -1;
	return false;
}

void ctl_cancel_wait(struct ctl_cancel *k, struct ctl_conn *c, enum mig_phase phase)
{
	bool timed = cancel_start_timer(k);
	int i = 0;

	while (k->waiting[i]) /* finds room: a held client asks nothing more */
		i++;
	if (i == 0)
		k->phase = phase;
	k->waiting[i] = c;
	ctl_conn_hold(c);
	if (!timed)
		cancel_answer_all(k, NULL);
}

void ctl_cancel_forget(struct ctl_cancel *k, const struct ctl_conn *c)
{
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (k->waiting[i] == c)
			k->waiting[i] = NULL;
	}
}

void ctl_cancel_ended(struct ctl_cancel *k, const struct err *why)
{
	cancel_answer_all(k, why);
}
