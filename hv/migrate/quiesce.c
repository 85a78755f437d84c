/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the thread that watches a freeze (see quiesce.h). Must never let the guest go once
 * quiesce_disarm() has returned: what it lets go is done with the lock held.
 * Next in the flow: pump_source.c.
 */
#include "hv/migrate/quiesce.h"

#include <string.h>
#include <time.h>

#include "hv/base/clock.h"

static void *quiesce_thread(void *arg)
{
	struct quiesce *q = arg;

	pthread_setname_np(pthread_self(), "mig-quiesce");
	pthread_mutex_lock(&q->lock);
	while (!q->quit) {
		struct timespec ts = { .tv_sec = (time_t)(q->deadline / NSEC_PER_SEC),
			.tv_nsec = (long)(q->deadline % NSEC_PER_SEC) };

		if (q->deadline == UINT64_MAX) {
			pthread_cond_wait(&q->wake, &q->lock);
		} else if (clock_mono_ns() >= q->deadline) {
			q->deadline = UINT64_MAX;
			q->fired = true;
			q->ops->freeze_abandon(q->vm);
		} else {
			pthread_cond_timedwait(&q->wake, &q->lock, &ts);
		}
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int quiesce_init(struct quiesce *q, const struct mig_vm_ops *ops, void *vm, struct err *e)
{
	pthread_condattr_t attr;
	int r;

	memset(q, 0, sizeof(*q));
	q->ops = ops;
	q->vm = vm;
	q->deadline = UINT64_MAX;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&q->thread, NULL, quiesce_thread, q);
	if (r)
		return err_set(e, -r, "cannot start the thread that watches the freeze: %s",
			strerrordesc_np(r));
	q->started = true;
	return 0;
}

void quiesce_fini(struct quiesce *q)
{
	pthread_mutex_lock(&q->lock);
	q->quit = true;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	if (q->started)
		pthread_join(q->thread, NULL);
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
}

void quiesce_arm(struct quiesce *q, uint64_t deadline)
{
	if (deadline == UINT64_MAX)
		return; /* no limit: nobody need wake up */
	pthread_mutex_lock(&q->lock);
	q->deadline = deadline;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
}

bool quiesce_disarm(struct quiesce *q)
{
	bool fired;

	pthread_mutex_lock(&q->lock);
	q->deadline = UINT64_MAX;
	fired = q->fired;
	pthread_mutex_unlock(&q->lock);
	return !fired;
}

int quiesce_freeze(struct quiesce *q, uint64_t deadline, struct err *e)
{
	int r;

	quiesce_arm(q, deadline);
	r = q->ops->freeze(q->vm, e);
	return quiesce_disarm(q) ? r : 1;
}
