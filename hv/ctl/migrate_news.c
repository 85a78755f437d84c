/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a move's side on the loop's thread: its news go to the hooks, and questions and a cancel
 * come in (see migrate.h). Must never wait for the move's thread but when that has ended. Next in
 * the flow: guest.c, whose hooks they are.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/migrate_parts.h"
#include "hv/ctl/proto.h"
#include "hv/migrate/cancel.h"

#define MOVE_PROGRESS_NS (100 * NSEC_PER_MSEC)

/* Once the choice is made nothing writes it any more, so the lock is not held while it is told. */
static void move_tell_choice(struct ctl_move *m)
{
	bool known;

	pthread_mutex_lock(&m->lock);
	known = m->transport[0] != '\0';
	pthread_mutex_unlock(&m->lock);
	if (!known || m->told_choice)
		return;
	m->told_choice = true;
	if (m->hooks.chosen)
		m->hooks.chosen(m->hooks.arg, m->transport, m->note);
}

static void move_tell_waits(struct ctl_move *m)
{
	char waits[CTL_SLOTS_TEXT];

	ctl_move_waits(m, waits);
	if (strcmp(waits, m->told_waits) == 0)
		return;
	strcpy(m->told_waits, waits);
	if (waits[0] && m->hooks.waiting)
		m->hooks.waiting(m->hooks.arg, waits);
}

static void move_tell_checks(struct ctl_move *m)
{
	bool known;

	pthread_mutex_lock(&m->lock);
	known = m->checked;
	pthread_mutex_unlock(&m->lock);
	if (!known || m->told_checks)
		return;
	m->told_checks = true;
	if (m->hooks.checked)
		m->hooks.checked(m->hooks.arg, &m->report);
}

void move_news(void *arg, uint32_t events)
{
	struct ctl_move *m = arg;
	struct mig_progress p;
	uint64_t count, now = clock_mono_ns();
	bool done;

	(void)events;
	if (read(m->efd, &count, sizeof(count)) < 0)
		return;
	move_tell_waits(m);
	move_tell_choice(m);
	move_tell_checks(m);
	pthread_mutex_lock(&m->lock);
	p = m->progress;
	done = m->done;
	pthread_mutex_unlock(&m->lock);
	if (!done) {
		if (p.phase == m->told_phase && now - m->told_ns < MOVE_PROGRESS_NS)
			return;
		m->told_phase = p.phase;
		m->told_ns = now;
		if (m->hooks.progress)
			m->hooks.progress(m->hooks.arg, &p);
		return;
	}
	pthread_join(m->thread, NULL);
	/* before done(): then the next request of who is answered here finds the move gone */
	ctl_cancel_ended(&m->cancelled, &m->err);
	m->hooks.done(m->hooks.arg, m->rc, &m->result, &m->err);
	move_free(m);
}

/* ---- asked of it ----------------------------------------------------------------------------- */

bool ctl_move_cancel(struct ctl_move *m)
{
	return mig_cancel(&m->cancel);
}

void ctl_move_cancel_for(struct ctl_move *m, struct ctl_conn *c)
{
	struct mig_progress p;
	struct err e = { 0 };

	if (!m->leaving)
		err_set(&e, -EBUSY,
			"guest '%s' is arriving here: cancel its move where it comes from, %s",
			vm_config(m->vm)->name, m->from);
	else if (!ctl_move_cancel(m))
		err_set(&e, -EALREADY,
			"it is too late: guest '%s' has been handed over to the target",
			vm_config(m->vm)->name);
	if (e.code) {
		ctl_conn_refuse(c, &e);
		return;
	}
	ctl_move_look(m, NULL, NULL, &p);
	ctl_cancel_wait(&m->cancelled, c, p.phase);
}

void ctl_move_forget(struct ctl_move *m, const struct ctl_conn *c)
{
	ctl_cancel_forget(&m->cancelled, c);
}

void ctl_move_waits(struct ctl_move *m, char *waits)
{
	pthread_mutex_lock(&m->lock);
	strcpy(waits, m->waits);
	pthread_mutex_unlock(&m->lock);
}

bool ctl_move_landed(struct ctl_move *m)
{
	bool landed;

	pthread_mutex_lock(&m->lock);
	landed = m->landed;
	pthread_mutex_unlock(&m->lock);
	return landed;
}

void ctl_move_look(
	struct ctl_move *m, struct ctl_addr *to, const char **transport, struct mig_progress *p)
{
	if (to)
		*to = m->to;
	pthread_mutex_lock(&m->lock);
	if (transport)
		*transport = m->transport;
	*p = m->progress;
	pthread_mutex_unlock(&m->lock);
}

int ctl_move_lock(struct ctl_move *m, struct err *e)
{
	pthread_mutex_lock(&m->lock);
	if (!m->saved)
		return 0;
	pthread_mutex_unlock(&m->lock);
	return err_set(e, -EBUSY, "the guest is being handed over this very moment; ask again");
}

void ctl_move_unlock(struct ctl_move *m)
{
	pthread_mutex_unlock(&m->lock);
}
