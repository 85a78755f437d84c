/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the throttle: a thread that lets the vCPUs which write memory run for a share of every
 * period and parks them for the rest. It exists only while the share is below the whole.
 * Must never touch `hold`: a throttled vCPU is parked by its own flag, so it is at rest for
 * vm_hold() like any other, and a hold that comes and goes does not end its pause early.
 *
 * The period is short, so that a guest that is left with little notices many small pauses rather
 * than a few that look like blackouts; and not shorter, because stopping a vCPU costs tens of
 * microseconds each time. On a busy host the thread may be woken late, and its vCPUs have then run
 * for longer than they should: the pause grows with what they really had, up to THROTTLE_PAUSE_NS.
 *
 * WHO IS A WRITER. With the dirty ring each vCPU's pages are its own, and one that dirtied less
 * than a tenth of its even share is left alone. The dirty log does not tell vCPUs apart: all are
 * slowed then.
 * Next in the flow: vcpus.c, where vCPUs park.
 */
#include <errno.h>
#include <time.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/base/urgency.h"
#include "hv/vm/internal.h"

#define THROTTLE_PERIOD_NS (2 * NSEC_PER_MSEC)
#define THROTTLE_PAUSE_NS  (50 * NSEC_PER_MSEC)
#define THROTTLE_FULL      1000u

/* Marks the writers: those that dirtied more than a tenth of an even share since the last look. */
static void throttle_choose_locked(struct vm *vm)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < vm->ncpu; i++) {
		struct vm_cpu *c = &vm->cpu[i];
		uint64_t dirtied = vcpu_dirtied(&c->vcpu);

		c->wrote = dirtied - c->dirtied;
		c->dirtied = dirtied;
		total += c->wrote;
	}
	for (unsigned i = 0; i < vm->ncpu; i++)
		vm->cpu[i].writer = total == 0 || vm->cpu[i].wrote * vm->ncpu * 10 >= total;
}

/* Until @at of CLOCK_MONOTONIC, or the share is the whole again. Lock held. */
static void throttle_wait_locked(struct vm *vm, uint64_t at)
{
	struct timespec t = { .tv_sec = (time_t)(at / NSEC_PER_SEC),
		.tv_nsec = (long)(at % NSEC_PER_SEC) };

	while (vm->share < THROTTLE_FULL && !vm->quit &&
		pthread_cond_timedwait(&vm->slow, &vm->lock, &t) != ETIMEDOUT)
		;
}

static void throttle_pause_locked(struct vm *vm, bool on)
{
	for (unsigned i = 0; i < vm->ncpu; i++)
		vm->cpu[i].paused = on && vm->cpu[i].writer;
	if (on)
		vm_kick_paused_locked(vm);
	else
		pthread_cond_broadcast(&vm->wake);
}

/* How long the writers pause after they ran for @ran ns. Lock held. */
static uint64_t throttle_pause_ns(const struct vm *vm, uint64_t ran)
{
	uint64_t pause = ran / vm->share * (THROTTLE_FULL - vm->share);

	return pause < THROTTLE_PAUSE_NS ? pause : THROTTLE_PAUSE_NS;
}

static void *throttle_thread(void *arg)
{
	struct vm *vm = arg;
	uint64_t from, to;

	pthread_setname_np(pthread_self(), "throttle");
	urgency_set(
		URGENCY_HIGH); /* it sleeps nearly always, and each wake-up that is late counts */
	pthread_mutex_lock(&vm->lock);
	from = clock_mono_ns();
	while (vm->share < THROTTLE_FULL && !vm->quit) {
		throttle_wait_locked(vm, from + THROTTLE_PERIOD_NS / THROTTLE_FULL * vm->share);
		if (vm->share == THROTTLE_FULL || vm->quit)
			break;
		throttle_pause_locked(vm, true);
		to = clock_mono_ns();
		throttle_wait_locked(vm, to + throttle_pause_ns(vm, to - from));
		throttle_pause_locked(vm, false);
		from = clock_mono_ns();
	}
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}

void vm_throttle(struct vm *vm, unsigned share)
{
	bool was, want = share < THROTTLE_FULL;
	int r;

	pthread_mutex_lock(&vm->lock);
	was = vm->throttling;
	vm->share = share;
	if (want)
		throttle_choose_locked(vm);
	pthread_cond_broadcast(&vm->slow);
	pthread_mutex_unlock(&vm->lock);
	if (want && !was) {
		r = pthread_create(&vm->throttler, NULL, throttle_thread, vm);
		vm->throttling = r == 0;
		if (r) /* the move goes on without, and is given up if it does not converge */
			log_warn("cannot start the thread that slows the guest down");
	} else if (!want && was) {
		pthread_join(vm->throttler, NULL);
		vm->throttling = false;
	}
}
