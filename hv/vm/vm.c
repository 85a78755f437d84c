/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the life of a machine: the list of stages by which it starts, and in reverse stops. Must
 * never run guest code before vm_release() has removed the last reason to hold it.
 * Invariant: a machine that vm_new() gave out has every stage started.
 * Next in the flow: boot.c, vcpus.c (running), devices.c, state.c, track.c.
 */
#include "hv/vm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/vm/internal.h"

static int stage_locks(struct vm *vm, struct err *e)
{
	pthread_condattr_t mono;

	(void)e;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_mutex_init(&vm->in.lock, NULL);
	pthread_cond_init(&vm->wake, NULL);
	pthread_cond_init(&vm->idle, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&vm->slow, &mono);
	pthread_condattr_destroy(&mono);
	vm->share = 1000;
	vm->hold = VM_HOLD_SETUP;
	return 0;
}

static void stage_locks_stop(struct vm *vm)
{
	pthread_cond_destroy(&vm->slow);
	pthread_cond_destroy(&vm->idle);
	pthread_cond_destroy(&vm->wake);
	pthread_mutex_destroy(&vm->in.lock);
	pthread_mutex_destroy(&vm->lock);
}

static int stage_events(struct vm *vm, struct err *e)
{
	vm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->in.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return vm->event_fd >= 0 && vm->in.fd >= 0
		       ? 0
		       : err_errno(e, "cannot make an event descriptor");
}

static void stage_events_stop(struct vm *vm)
{
	if (vm->event_fd >= 0)
		close(vm->event_fd);
	if (vm->in.fd >= 0)
		close(vm->in.fd);
}

static int stage_console(struct vm *vm, struct err *e)
{
	int r = 0;

	if (strcmp(vm->cfg.serial, "none") != 0)
		r = scrollback_new(&vm->scroll, e);
	return r ? r : console_new(&vm->console, vm->cfg.serial, e);
}

static void stage_console_stop(struct vm *vm)
{
	console_free(vm->console);
	scrollback_free(vm->scroll);
}

static int stage_memory(struct vm *vm, struct err *e)
{
	int r = gmem_check_size(vm->cfg.memory, vm_config_overcommit(&vm->cfg), e);

	if (!r)
		r = backing_check(&vm->cfg.backing, vm->cfg.memory, e);
	return r ? r : gmem_init_backed(&vm->mem, vm->cfg.memory, &vm->cfg.backing, e);
}

static void stage_memory_stop(struct vm *vm)
{
	gmem_fini(&vm->mem);
}

static int stage_kvm(struct vm *vm, struct err *e)
{
	static const enum dirty_choice choice[] = {
		[VM_TRACKING_AUTO] = DIRTY_CHOICE_AUTO,
		[VM_TRACKING_RING] = DIRTY_CHOICE_RING,
		[VM_TRACKING_LOG] = DIRTY_CHOICE_LOG,
	};

	return kvm_vm_open(&vm->kvm, &vm->mem, vm->cfg.cpus, choice[vm->cfg.tracking], e);
}

static void stage_kvm_stop(struct vm *vm)
{
	kvm_vm_close(&vm->kvm);
}

/* What it says on the storage goes with the disk (virtio_blk.c). */
static void vm_owner_stop(struct vm *vm)
{
	vm->owner.arbiter = NULL;
}

/*
 * The stages, in order. vm_free() and a start that fails call stop in reverse, from the stage that
 * was entered last, complete or not: each stop copes with a start that failed halfway.
 */
static const struct {
	const char *name;
	int (*start)(struct vm *vm, struct err *e);
	void (*stop)(struct vm *vm);
} vm_stage[] = {
	{ .name = "locks", .start = stage_locks, .stop = stage_locks_stop },
	{ .name = "events", .start = stage_events, .stop = stage_events_stop },
	{ .name = "console", .start = stage_console, .stop = stage_console_stop },
	{ .name = "memory", .start = stage_memory, .stop = stage_memory_stop },
	{ .name = "kvm", .start = stage_kvm, .stop = stage_kvm_stop },
	{ .name = "vcpus", .start = vm_vcpus_start, .stop = vm_vcpus_stop },
	{ .name = "devices", .start = vm_devices_start, .stop = vm_devices_stop },
	{ .name = "owner", .start = vm_owner_start, .stop = vm_owner_stop },
	{ .name = "power-on state", .start = vm_power_on_start, .stop = vm_power_on_stop },
	{ .name = "dirty tracking", .start = vm_track_start, .stop = vm_track_stop },
	{ .name = "vcpu threads", .start = vm_threads_start, .stop = vm_threads_stop },
};
#define VM_STAGES (sizeof(vm_stage) / sizeof(vm_stage[0]))

int vm_new(struct vm **out, const struct vm_config *c, struct err *e)
{
	struct vm *vm;
	int r = vm_config_check(c, e);

	*out = NULL;
	if (r)
		return r;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_set(e, -ENOMEM, "no memory for a machine");
	vm->cfg = *c;
	vm->event_fd = vm->in.fd = -1;
	vm->age_at = clock_mono_ns();
	while (r == 0 && vm->stages < VM_STAGES) {
		vm->stages++;
		r = vm_stage[vm->stages - 1].start(vm, e);
	}
	if (r) {
		log_debug("machine '%s' failed to start at stage '%s'", c->name,
			vm_stage[vm->stages - 1].name);
		vm_free(vm);
		return r;
	}
	*out = vm;
	return 0;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	while (vm->stages)
		vm_stage[--vm->stages].stop(vm);
	free(vm);
}

int vm_event_fd(const struct vm *vm)
{
	return vm->event_fd;
}

uint64_t vm_age_locked(const struct vm *vm)
{
	return vm->age_ns + (clock_mono_ns() - vm->age_at);
}

void vm_info(struct vm *vm, struct vm_info *out)
{
	pthread_mutex_lock(&vm->lock);
	out->hold = vm->hold;
	memcpy(out->reason, vm->reason, sizeof(out->reason));
	out->panicked = vm->panicked;
	out->resets = vm->resets;
	memcpy(out->last_reset, vm->last_reset, sizeof(out->last_reset));
	out->age_ns = vm_age_locked(vm);
	pthread_mutex_unlock(&vm->lock);
	out->tracking = vm->track.ops->name;
}

const struct vm_config *vm_config(const struct vm *vm)
{
	return &vm->cfg;
}

struct gmem *vm_mem(struct vm *vm)
{
	return &vm->mem;
}

struct scrollback *vm_scrollback(struct vm *vm)
{
	return vm->scroll;
}
