/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of devices: the one order in which they are built, reset, saved, loaded and freed,
 * and the wires from them to KVM, to the console and to the machine's events. Must never let a
 * device know any of these but through its callbacks.
 * Next in the flow: hv/dev/dev.h, state.c.
 */
#include <errno.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/base/machine.h"
#include "hv/base/section.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/i8042.h"
#include "hv/dev/rtc.h"
#include "hv/dev/serial.h"
#include "hv/vm/internal.h"

static void device_irq(void *arg, int level)
{
	struct vm_irq *irq = arg;

	kvm_vm_irq(irq->kvm, irq->gsi, level);
}

static void device_serial_tx(void *arg, const uint8_t *p, size_t n)
{
	struct vm *vm = arg;

	if (vm->scroll)
		scrollback_write(vm->scroll, p, n);
	console_write(vm->console, p, n);
}

/* Called under the bus lock, on a vCPU's thread: they take note, the vCPUs stop by themselves. */
static void device_reset_asked(void *arg)
{
	vm_event_raise(arg, VM_EVENT_RESET, NULL);
}

static void device_shutdown_asked(void *arg)
{
	vm_event_raise(arg, VM_EVENT_SHUTDOWN, NULL);
}

static int device_new_serial(struct vm *vm, void **self, struct err *e)
{
	struct serial *s = NULL;
	int r;

	vm->com1_irq = (struct vm_irq){ .kvm = &vm->kvm, .gsi = MACHINE_IRQ_COM1 };
	r = serial_new(&s, &vm->pio, MACHINE_PORT_COM1,
		(struct dev_irq){ .set = device_irq, .arg = &vm->com1_irq }, device_serial_tx, vm,
		e);
	*self = s;
	return r;
}

static int device_new_rtc(struct vm *vm, void **self, struct err *e)
{
	uint64_t low = vm->mem.regions[0].size;
	struct rtc *d = NULL;
	int r = rtc_new(&d, &vm->pio, e);

	if (r == 0)
		rtc_set_memory(d, low, vm->mem.size - low);
	*self = d;
	return r;
}

static int device_new_i8042(struct vm *vm, void **self, struct err *e)
{
	struct i8042 *d = NULL;
	int r = i8042_new(&d, &vm->pio, device_reset_asked, vm, e);

	*self = d;
	return r;
}

static int device_new_acpi_pm(struct vm *vm, void **self, struct err *e)
{
	const struct acpi_pm_power power = {
		.shutdown = device_shutdown_asked,
		.reset = device_reset_asked,
		.arg = vm,
	};
	struct acpi_pm *d = NULL;
	int r;

	vm->sci_irq = (struct vm_irq){ .kvm = &vm->kvm, .gsi = MACHINE_IRQ_SCI };
	r = acpi_pm_new(&d, &vm->pio, (struct dev_irq){ .set = device_irq, .arg = &vm->sci_irq },
		&power, e);
	*self = d;
	return r;
}

static void device_advance_acpi_pm(void *self, uint64_t ns)
{
	acpi_pm_advance(self, ns);
}

/* The list. @advance: for a device whose time stands still while it is saved. */
static const struct {
	const struct dev_ops *ops;
	int (*build)(struct vm *vm, void **self, struct err *e);
	void (*advance)(void *self, uint64_t ns);
} devices[] = {
	{ .ops = &serial_dev_ops, .build = device_new_serial },
	{ .ops = &rtc_dev_ops, .build = device_new_rtc },
	{ .ops = &i8042_dev_ops, .build = device_new_i8042 },
	{ .ops = &acpi_pm_dev_ops, .build = device_new_acpi_pm, .advance = device_advance_acpi_pm },
};
#define DEVICES        (sizeof(devices) / sizeof(devices[0]))
#define DEVICES_SERIAL 0 /* position of the console's device in the list */

_Static_assert(DEVICES <= VM_DEVICES_MAX, "raise VM_DEVICES_MAX");

int vm_devices_start(struct vm *vm, struct err *e)
{
	bus_init(&vm->pio);
	bus_init(&vm->mmio);
	for (size_t i = 0; i < DEVICES; i++) {
		int r = devices[i].build(vm, &vm->dev[i], e);

		if (r)
			return err_wrap(e, "device '%s'", devices[i].ops->name);
	}
	return 0;
}

void vm_devices_stop(struct vm *vm)
{
	for (size_t i = DEVICES; i-- > 0;) {
		if (vm->dev[i])
			devices[i].ops->free(vm->dev[i]);
		vm->dev[i] = NULL;
	}
	bus_fini(&vm->mmio);
	bus_fini(&vm->pio);
}

void vm_devices_reset(struct vm *vm)
{
	for (size_t i = 0; i < DEVICES; i++)
		devices[i].ops->reset(vm->dev[i]);
}

void vm_devices_save(struct vm *vm, struct wbuf *w)
{
	/* With input locked out: a byte the UART took after its state was read would be lost. */
	pthread_mutex_lock(&vm->in_lock);
	for (size_t i = 0; i < DEVICES; i++) {
		size_t at = section_begin(w, devices[i].ops->name, 0, devices[i].ops->version);

		devices[i].ops->save(vm->dev[i], w);
		section_end(w, at);
	}
	pthread_mutex_unlock(&vm->in_lock);
}

int vm_device_find(const char *name)
{
	for (size_t i = 0; i < DEVICES; i++) {
		if (strcmp(devices[i].ops->name, name) == 0)
			return (int)i;
	}
	return -1;
}

unsigned vm_device_count(void)
{
	return DEVICES;
}

const char *vm_device_name(unsigned i)
{
	return devices[i].ops->name;
}

int vm_device_load(struct vm *vm, unsigned i, struct section *s, struct err *e)
{
	int r = section_version(s, devices[i].ops->version, e);

	if (r == 0)
		r = devices[i].ops->load(vm->dev[i], s, e);
	return r ? r : section_done(s, e);
}

void vm_devices_advance(struct vm *vm, uint64_t ns)
{
	for (size_t i = 0; i < DEVICES; i++) {
		if (devices[i].advance)
			devices[i].advance(vm->dev[i], ns);
	}
}

void vm_input_pump(struct vm *vm)
{
	size_t n;

	if (__atomic_load_n(&vm->in_len, __ATOMIC_RELAXED) == 0)
		return;
	pthread_mutex_lock(&vm->in_lock);
	/* A machine that is moving takes no input: its state may be saved already. The reason is
	 * set before the state is saved under this lock, so one of the two sees the other. */
	n = __atomic_load_n(&vm->hold, __ATOMIC_ACQUIRE) & VM_HOLD_MIGRATION
		    ? 0
		    : serial_input(vm->dev[DEVICES_SERIAL], vm->in, vm->in_len);
	memmove(vm->in, vm->in + n, vm->in_len - n);
	__atomic_store_n(&vm->in_len, vm->in_len - n, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vm->in_lock);
}

void vm_serial_input(struct vm *vm, const void *data, size_t len)
{
	size_t room, n;

	pthread_mutex_lock(&vm->in_lock);
	room = sizeof(vm->in) - vm->in_len;
	n = len < room ? len : room;
	memcpy(vm->in + vm->in_len, data, n);
	__atomic_store_n(&vm->in_len, vm->in_len + n, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vm->in_lock);
	/* As a terminal's own queue does when nobody reads. */
	if (n < len)
		log_warn("%zu bytes of console input dropped: the guest does not read", len - n);
	vm_input_pump(vm);
}
