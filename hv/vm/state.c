/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the machine's state as a list of sections: "vm" (was it paused, how old is it), KVM's own,
 * one per device. Must never load part of a list that is refused for what is in it: everything is
 * looked at before the first device is touched. Invariant: the order of sections in the stream does
 * not matter; the order of loading is here. Next in the flow: hv/kvm/state.h, devices.c.
 */
#include "hv/kvm/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/section.h"
#include "hv/kvm/cpuid.h"
#include "hv/vm/internal.h"

#define STATE_VM_SECTION  "vm"
#define STATE_VM_VERSION  2u               /* 2: the guest's age */
#define STATE_AGE_MAX     (UINT64_MAX / 4) /* ns: so no sum overflows */
#define STATE_CONSOLE     "console"
#define STATE_DEVICES     1024u /* bytes: what a device takes, in the middle */
#define STATE_CONSOLE_MAX (SCROLLBACK_TRAVEL + 8192u)

/* What a list of sections was found to hold. */
struct vm_state {
	bool have_vm, paused, have_console;
	uint64_t age_ns;
	struct section console;
	bool have[VM_DEVICES_MAX];
	struct section dev[VM_DEVICES_MAX];
};

int vm_state_save(struct vm *vm, struct wbuf *w, struct err *e)
{
	bool paused, stopped;
	uint64_t age;
	size_t at;
	int r;

	pthread_mutex_lock(&vm->lock);
	paused = vm->hold & VM_HOLD_USER;
	stopped = vm->hold & VM_HOLD_STOPPED;
	age = vm_age_locked(vm);
	r = vm->running ? err_set(e, -EBUSY, "the guest runs: its state cannot be saved") : 0;
	pthread_mutex_unlock(&vm->lock);
	if (r)
		return r;
	/* What it asked for is this host's to answer; the event does not travel. */
	if (stopped)
		return err_set(e, -ECANCELED, "the guest has powered off, rebooted or crashed");
	if (wbuf_reserve(w, w->len + kvm_state_size(&vm->kvm) + STATE_CONSOLE_MAX +
				    STATE_DEVICES * vm->ndev))
		return err_set(e, -ENOMEM, "no memory for the guest's state");
	/* KVM's machine first, for the clock's sake; devices, whose timers stand still from here,
	 * right after it; the vCPUs, which take longest, at the end. */
	r = kvm_state_save_vm(&vm->kvm, w, e);
	if (r)
		return r;
	vm_devices_save(vm, w);
	vm_console_save(vm, w);
	at = section_begin(w, STATE_VM_SECTION, 0, STATE_VM_VERSION);
	wbuf_u8(w, paused);
	wbuf_u64(w, age);
	section_end(w, at);
	for (unsigned i = 0; r == 0 && i < vm->ncpu; i++)
		r = vcpu_state_save(&vm->cpu[i].vcpu, w, e);
	if (r == 0 && w->failed)
		r = err_set(e, -ENOMEM, "no memory for the guest's state");
	return r;
}

static int state_twice(const struct section *s, struct err *e)
{
	return err_set(e, -EPROTO, "state section '%s' (instance %u) is there twice", s->name,
		s->instance);
}

static int state_take_vm(struct vm_state *st, struct section *s, struct err *e)
{
	uint64_t age = 0;
	uint8_t paused;
	int r = section_version(s, STATE_VM_VERSION, e);

	if (r)
		return r;
	if (st->have_vm)
		return state_twice(s, e);
	paused = rbuf_u8(&s->body);
	if (s->version >= 2)
		age = rbuf_u64(&s->body);
	r = section_done(s, e);
	if (r)
		return r;
	if (paused > 1)
		return err_set(e, -EPROTO, "state section '%s': paused is %u, not 0 or 1", s->name,
			paused);
	if (age > STATE_AGE_MAX)
		return err_set(e, -EPROTO, "state section '%s': the guest's age is %" PRIu64 " ns",
			s->name, age);
	st->have_vm = true;
	st->paused = paused;
	st->age_ns = age;
	return 0;
}

static int state_take_console(struct vm_state *st, const struct section *s, struct err *e)
{
	if (st->have_console)
		return state_twice(s, e);
	st->have_console = true;
	st->console = *s;
	return 0;
}

static int state_take(struct vm *vm, struct vm_state *st, struct section *s, struct err *e)
{
	bool known = vm_device_known(s->name);
	int i = vm_device_find(vm, s->name, s->instance), r;

	if (!known) {
		r = kvm_state_take(&vm->kvm, s, e);
		if (r)
			return r < 0 ? r : 0;
		if (strcmp(s->name, STATE_VM_SECTION) != 0 && strcmp(s->name, STATE_CONSOLE) != 0)
			return err_set(e, -EPROTO,
				"state section '%s' (instance %u, version %u) is unknown to this "
				"watari",
				s->name, s->instance, s->version);
	}
	if (known ? i < 0 : s->instance != 0)
		return err_set(
			e, -EPROTO, "state section '%s' has no instance %u", s->name, s->instance);
	if (!known && strcmp(s->name, STATE_CONSOLE) == 0)
		return state_take_console(st, s, e);
	if (!known)
		return state_take_vm(st, s, e);
	if (st->have[i])
		return state_twice(s, e);
	st->have[i] = true;
	st->dev[i] = *s;
	return 0;
}

static int state_read(struct vm *vm, struct vm_state *st, struct rbuf *r, struct err *e)
{
	struct section s;
	int rc;

	memset(st, 0, sizeof(*st));
	kvm_state_begin(&vm->kvm);
	while ((rc = section_next(r, &s, e)) > 0) {
		rc = state_take(vm, st, &s, e);
		if (rc)
			return rc;
	}
	if (rc)
		return rc;
	if (!st->have_vm)
		return err_set(e, -EPROTO, "state section '%s' is missing", STATE_VM_SECTION);
	if (!st->have_console)
		return err_set(e, -EPROTO, "state section '%s' is missing", STATE_CONSOLE);
	for (unsigned i = 0; i < vm->ndev; i++) {
		const struct vm_device *d = &vm->dev[i];

		if (!st->have[i] && d->instance)
			return err_set(e, -EPROTO, "state section '%s' (instance %u) is missing",
				d->ops->name, d->instance);
		if (!st->have[i])
			return err_set(e, -EPROTO, "state section '%s' is missing", d->ops->name);
	}
	return 0;
}

static int state_check_rest(struct vm *vm, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&vm->lock);
	if (vm->running || !(vm->hold & (VM_HOLD_SETUP | VM_HOLD_MIGRATION)))
		r = err_set(e, -EBUSY, "the guest runs: no state can be loaded into it");
	pthread_mutex_unlock(&vm->lock);
	return r;
}

/*
 * Devices before KVM: one that tells the level of its line changes the interrupt controllers, which
 * are then set to exactly what was saved.
 */
int vm_state_load(struct vm *vm, struct rbuf *r, uint64_t elapsed_ns, struct err *e)
{
	uint64_t start = clock_mono_ns();
	struct vm_state st;
	unsigned hold;
	int rc;

	if ((rc = state_check_rest(vm, e)) || (rc = state_read(vm, &st, r, e)))
		return rc;
	if ((rc = vm_console_load(vm, &st.console, e)))
		return rc;
	/* Until the thaw: what a device does before, the source might undo by thawing there. */
	vm_devices_quiesce(vm);
	for (unsigned i = 0; i < vm->ndev; i++) {
		rc = vm_device_load(vm, i, &st.dev[i], e);
		if (rc)
			return rc;
	}
	vm_devices_advance(vm, elapsed_ns + (clock_mono_ns() - start));
	rc = kvm_state_load(&vm->kvm, elapsed_ns + (clock_mono_ns() - start), e);
	if (rc)
		return rc;
	/* The machine is complete: from here on it is the migration that holds it, and thaw() that
	 * lets it run, unless the user had paused it on the other side. */
	pthread_mutex_lock(&vm->lock);
	hold = vm->hold & ~(unsigned)(VM_HOLD_SETUP | VM_HOLD_USER);
	hold |= VM_HOLD_MIGRATION | (st.paused ? VM_HOLD_USER : 0u);
	__atomic_store_n(&vm->hold, hold, __ATOMIC_RELEASE);
	vm->age_at = start;
	vm->age_ns = st.age_ns + elapsed_ns;
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

int vm_power_on_start(struct vm *vm, struct err *e)
{
	struct wbuf w;
	int r;

	wbuf_init(&w);
	r = kvm_state_save(&vm->kvm, &w, e);
	if (r) {
		wbuf_fini(&w);
		return err_wrap(e, "cannot read the state at power-on");
	}
	vm->power_on = w.data;
	vm->power_on_len = w.len;
	return 0;
}

void vm_power_on_stop(struct vm *vm)
{
	free(vm->power_on);
	vm->power_on = NULL;
}

/*
 * What a reset leaves alone: CPUID, which KVM does not let change once a vCPU has run and which in
 * a machine that arrived here is not this host's; and time, which is the same moment's in both.
 */
static bool state_survives_reset(const char *name)
{
	static const char *const kept[] = { "cpu-cpuid", "cpu-tsc", "kvm-clock" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (strcmp(name, kept[i]) == 0)
			return true;
	}
	return false;
}

/* Takes from a list those sections that survive a reset, or those that do not. */
static int power_on_take(struct vm *vm, const void *p, size_t n, bool survivors, struct err *e)
{
	struct rbuf r = rbuf_of(p, n);
	struct section s;
	int rc;

	while ((rc = section_next(&r, &s, e)) > 0) {
		if (state_survives_reset(s.name) != survivors)
			continue;
		rc = kvm_state_take(&vm->kvm, &s, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int vm_power_on_load(struct vm *vm, struct err *e)
{
	uint64_t at = clock_mono_ns();
	struct wbuf now;
	int r;

	wbuf_init(&now);
	r = kvm_state_save(&vm->kvm, &now, e);
	if (r)
		goto out;
	kvm_state_begin(&vm->kvm);
	if ((r = power_on_take(vm, vm->power_on, vm->power_on_len, false, e)) ||
		(r = power_on_take(vm, now.data, now.len, true, e)))
		goto out;
	r = kvm_state_load(&vm->kvm, clock_mono_ns() - at, e);
out:
	wbuf_fini(&now);
	return r;
}

void vm_processor(const struct vm *vm, struct wbuf *cpuid, uint32_t *tsc_khz)
{
	cpuid_encode(vm->cpu[0].vcpu.cpuid, cpuid);
	*tsc_khz = vm->cpu[0].vcpu.tsc_khz;
}
