/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the vCPU threads and the handshake by which they stop and go on (vm_hold(), vm_release()).
 * Must never let a vCPU enter the guest while a reason to hold is set, nor count one as stopped
 * that still owes KVM half of an access.
 *
 * A vCPU that the throttle has paused stops and parks in the same way, alone.
 *
 * STOPPING, under the lock: set the reason; for every vCPU in the guest set immediate_exit, then
 * signal its thread; wait until `running` is 0. A thread leaves parking under the same lock,
 * and clears immediate_exit there. So a kick finds a thread in one of three places:
 *   1. between leaving parking and the start of KVM_RUN (or serving an exit): KVM_RUN reads
 *      immediate_exit when it starts and returns;
 *   2. in KVM_RUN, past that reading: the signal, sent after the byte was set, is pending, and KVM
 *      checks for pending signals with interrupts off before each entry, and leaves the guest
 *      when it arrives;
 *   3. the signal came in 1. and was used up by the empty handler: the byte is still set.
 * The byte is cleared only where the thread has just seen, under the lock, that nothing holds the
 * machine, so no kick of a hold that is still set can be cleared away.
 * The handler is empty: it exists so that the signal interrupts instead of being ignored.
 * Next in the flow: exits.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/urgency.h"
#include "hv/vm/internal.h"
#include "hv/vm/place.h"

/*
 * A standard signal on purpose: a real-time one is queued, and fails with EAGAIN when the user's
 * queue is full. This one is ignored by default and nobody sends it here (no socket of ours has an
 * owner for urgent data).
 */
#define VM_KICK SIGURG

#define VM_NUDGE_NS (20 * NSEC_PER_MSEC) /* longer than this it is not waited for */

static void vm_kick_handler(int sig)
{
	(void)sig;
}

static void vcpu_kick_locked(struct vm_cpu *c)
{
	if (!c->in_guest)
		return;
	vcpu_immediate_exit_set(&c->vcpu, 1);
	pthread_kill(c->thread, VM_KICK);
}

void vm_kick_locked(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nthread; i++)
		vcpu_kick_locked(&vm->cpu[i]);
}

void vm_kick_paused_locked(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nthread; i++) {
		if (vm->cpu[i].paused)
			vcpu_kick_locked(&vm->cpu[i]);
	}
}

static bool vm_held(const struct vm *vm)
{
	return __atomic_load_n(&vm->hold, __ATOMIC_ACQUIRE) != 0;
}

static void vm_hold_set_locked(struct vm *vm, unsigned hold)
{
	__atomic_store_n(&vm->hold, hold, __ATOMIC_RELEASE);
}

/* Parks until nothing holds the machine, nor this vCPU. False: the machine is being freed. */
static bool vcpu_park(struct vm_cpu *c)
{
	struct vm *vm = c->vm;
	bool go, hurried = false;

	pthread_mutex_lock(&vm->lock);
	while ((vm->hold || c->paused) && !vm->quit)
		pthread_cond_wait(&vm->wake, &vm->lock);
	go = !vm->quit;
	if (go) {
		vcpu_immediate_exit_set(&c->vcpu, 0);
		c->in_guest = true;
		vm->running++;
		hurried = c->hurried;
		c->hurried = false;
	}
	pthread_mutex_unlock(&vm->lock);
	if (hurried)
		urgency_set(URGENCY_NORMAL);
	return go;
}

/* The last one to leave the guest tells the holders, and the main thread of an event. */
static void vcpu_left(struct vm_cpu *c)
{
	struct vm *vm = c->vm;
	uint64_t one = 1;

	pthread_mutex_lock(&vm->lock);
	c->in_guest = false;
	if (c->nudged) {
		c->nudged = false;
		if (--vm->nudged == 0)
			pthread_cond_broadcast(&vm->idle);
	}
	if (--vm->running == 0) {
		pthread_cond_broadcast(&vm->idle);
		if (vm->event != VM_EVENT_NONE)
			(void)!write(vm->event_fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&vm->lock);
}

/* Whatever the last exit left half done is finished: the registers then show all of it. */
static void vcpu_finish(struct vm_cpu *c, struct vcpu_exit *x)
{
	int r;

	while ((r = vcpu_complete_io(&c->vcpu, x)) == 1)
		vm_exit_serve(c, x);
	if (r < 0)
		vm_exit_serve(c, x);
}

static void *vcpu_thread(void *arg)
{
	struct vm_cpu *c = arg;
	struct vcpu_exit x;

	pthread_mutex_lock(&c->vm->lock);
	c->tid = gettid();
	pthread_mutex_unlock(&c->vm->lock);
	while (vcpu_park(c)) {
		do {
			vcpu_run(&c->vcpu, &x);
			vm_exit_serve(c, &x);
			/* After an interruption the byte may be set for a hold that is gone
			 * already: only parking clears it. */
		} while (x.type != VCPU_EXIT_INTR && !vm_held(c->vm));
		vcpu_finish(c, &x);
		vcpu_left(c);
	}
	return NULL;
}

int vm_vcpus_start(struct vm *vm, struct err *e)
{
	vm->cpu = calloc(vm->cfg.cpus, sizeof(*vm->cpu));
	if (!vm->cpu)
		return err_set(e, -ENOMEM, "no memory for %u vCPUs", vm->cfg.cpus);
	for (unsigned i = 0; i < vm->cfg.cpus; i++) {
		int r = vcpu_open(&vm->cpu[i].vcpu, &vm->kvm, i, e);

		if (r)
			return r;
		vm->cpu[i].vm = vm;
		vm->ncpu = i + 1;
		r = place_of(vm->cfg.place, i, &cpus_host, &vm->cpu[i].place, e);
		if (r < 0)
			return r;
	}
	return 0;
}

void vm_vcpus_stop(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpu; i++)
		vcpu_close(&vm->cpu[i].vcpu);
	vm->ncpu = 0;
	free(vm->cpu);
	vm->cpu = NULL;
}

static int vcpu_thread_start(struct vm *vm, unsigned i, struct err *e)
{
	struct vm_cpu *c = &vm->cpu[i];
	pthread_attr_t attr;
	char name[16];
	int r;

	/* From its birth, so that not even what it does before it parks is done elsewhere. */
	pthread_attr_init(&attr);
	if (CPU_COUNT(&c->place))
		pthread_attr_setaffinity_np(&attr, sizeof(c->place), &c->place);
	r = pthread_create(&c->thread, &attr, vcpu_thread, c);
	pthread_attr_destroy(&attr);
	if (r)
		return err_set(e, -r, "cannot start the thread of vCPU %u: %s", i, strerror(r));
	snprintf(name, sizeof(name), "vcpu%u", i);
	pthread_setname_np(c->thread, name);
	vm->nthread = i + 1;
	return 0;
}

int vm_threads_start(struct vm *vm, struct err *e)
{
	/* Without SA_RESTART: the point is to interrupt. */
	struct sigaction sa = { .sa_handler = vm_kick_handler };
	sigset_t mask, old;
	int r = 0;

	sigemptyset(&sa.sa_mask);
	if (sigaction(VM_KICK, &sa, NULL) < 0)
		return err_errno(e, "cannot install the signal that stops vCPUs");
	/* All other signals are the main thread's. Those of a fault cannot be blocked. */
	sigfillset(&mask);
	sigdelset(&mask, VM_KICK);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	for (unsigned i = 0; r == 0 && i < vm->cfg.cpus; i++)
		r = vcpu_thread_start(vm, i, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void vm_vcpu_where(struct vm *vm, unsigned i, struct vm_vcpu_where *out)
{
	cpu_set_t s;

	pthread_mutex_lock(&vm->lock);
	out->tid = vm->cpu[i].tid;
	pthread_mutex_unlock(&vm->lock);
	if (pthread_getaffinity_np(vm->cpu[i].thread, sizeof(s), &s) != 0)
		CPU_ZERO(&s);
	cpus_format(&s, out->cpus, sizeof(out->cpus));
}

void vm_vcpus_hurry(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->nthread; i++) {
		if (!vm->cpu[i].tid)
			continue;
		urgency_set_thread(vm->cpu[i].tid, URGENCY_HIGH);
		vm->cpu[i].hurried = true;
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_threads_stop(struct vm *vm)
{
	vm_throttle(vm, 1000);
	pthread_mutex_lock(&vm->lock);
	vm->quit = true;
	vm_hold_set_locked(vm, vm->hold | VM_HOLD_STOPPED);
	vm_kick_locked(vm);
	pthread_cond_broadcast(&vm->wake);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->nthread; i++)
		pthread_join(vm->cpu[i].thread, NULL);
	vm->nthread = 0;
}

int vm_hold(struct vm *vm, enum vm_hold why, struct err *e)
{
	(void)e;
	pthread_mutex_lock(&vm->lock);
	vm_hold_set_locked(vm, vm->hold | why);
	vm_kick_locked(vm);
	/* If another thread removes the very reason meanwhile, there is nothing to wait for. */
	while (vm->running && (vm->hold & why))
		pthread_cond_wait(&vm->idle, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

/*
 * Nothing holds the machine for this, so each vCPU finds its way back by itself: the kick ends its
 * loop, it is counted out in vcpu_left(), and in again in vcpu_park(), which also clears the byte
 * and the urgency. One that does not come out (it serves an access that takes long) is given up;
 * its mark is taken back under the lock, so nobody counts it later.
 */
uint64_t vm_nudge(struct vm *vm)
{
	uint64_t start = clock_mono_ns(), until = start + VM_NUDGE_NS;
	struct timespec t = { .tv_sec = (time_t)(until / NSEC_PER_SEC),
		.tv_nsec = (long)(until % NSEC_PER_SEC) };
	bool any;

	vm_vcpus_hurry(vm);
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->nthread; i++) {
		vm->cpu[i].nudged = vm->cpu[i].in_guest;
		vm->nudged += vm->cpu[i].in_guest;
	}
	any = vm->nudged != 0;
	vm_kick_locked(vm);
	while (vm->nudged &&
		pthread_cond_clockwait(&vm->idle, &vm->lock, CLOCK_MONOTONIC, &t) != ETIMEDOUT)
		;
	for (unsigned i = 0; i < vm->nthread; i++)
		vm->cpu[i].nudged = false;
	vm->nudged = 0;
	pthread_mutex_unlock(&vm->lock);
	return any ? clock_mono_ns() - start : 0;
}

void vm_release(struct vm *vm, enum vm_hold why)
{
	bool go;

	pthread_mutex_lock(&vm->lock);
	vm_hold_set_locked(vm, vm->hold & ~(unsigned)why);
	go = vm->hold == 0;
	pthread_mutex_unlock(&vm->lock);
	/* After the unlock: a vCPU that wakes up on this processor must not find the lock taken. */
	pthread_cond_broadcast(&vm->idle);
	if (go)
		pthread_cond_broadcast(&vm->wake);
}

void vm_event_raise(struct vm *vm, enum vm_event event, const char *reason)
{
	pthread_mutex_lock(&vm->lock);
	if (!(vm->hold & VM_HOLD_STOPPED)) {
		vm->event = event;
		vm->reason[0] = '\0';
		if (reason)
			snprintf(vm->reason, sizeof(vm->reason), "%.*s",
				(int)sizeof(vm->reason) - 1, reason);
		vm_hold_set_locked(vm, vm->hold | VM_HOLD_STOPPED);
		/* Kicks the caller too: it leaves its loop at once. */
		vm_kick_locked(vm);
	}
	pthread_mutex_unlock(&vm->lock);
}

enum vm_event vm_take_event(struct vm *vm)
{
	enum vm_event event;
	uint64_t count;

	pthread_mutex_lock(&vm->lock);
	/* An event with a vCPU still on its way out is not announced yet, nor taken. */
	event = vm->running ? VM_EVENT_NONE : vm->event;
	if (event != VM_EVENT_NONE) {
		vm->event = VM_EVENT_NONE;
		(void)!read(vm->event_fd, &count, sizeof(count));
	}
	pthread_mutex_unlock(&vm->lock);
	return event;
}
