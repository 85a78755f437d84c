/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of devices: the one order in which they are built, reset, saved, loaded and freed,
 * and the wires from them to KVM and to the machine's events. Must never let a
 * device know any of these but through its callbacks.
 * Next in the flow: hv/dev/dev.h, devices_console.c, devices_net.c, state.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/base/section.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/i8042.h"
#include "hv/dev/pci.h"
#include "hv/dev/pvpanic.h"
#include "hv/dev/rtc.h"
#include "hv/dev/serial.h"
#include "hv/dev/virtio_blk.h"
#include "hv/dev/virtio_balloon.h"
#include "hv/dev/virtio_console.h"
#include "hv/dev/virtio_net.h"
#include "hv/dev/virtio_rng.h"
#include "hv/vm/internal.h"

static void device_irq(void *arg, int level)
{
	struct vm_irq *irq = arg;

	kvm_vm_irq(irq->kvm, irq->gsi, level);
}

/* Called under the bus lock, on a vCPU's thread: they take note, the vCPUs stop by themselves. */
static void device_reset_asked(void *arg)
{
	vm_event_raise(arg, VM_EVENT_RESET, "asked for by the guest");
}

static void device_shutdown_asked(void *arg)
{
	vm_event_raise(arg, VM_EVENT_SHUTDOWN, NULL);
}

static int device_new_rtc(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	uint64_t low = vm->mem.regions[0].size;
	struct rtc *d = NULL;
	int r = rtc_new(&d, &vm->pio, e);

	(void)i;
	if (r == 0)
		rtc_set_memory(d, low, vm->mem.size - low);
	*self = d;
	return r;
}

static int device_new_i8042(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct i8042 *d = NULL;
	int r = i8042_new(&d, &vm->pio, device_reset_asked, vm, e);

	(void)i;
	*self = d;
	return r;
}

static int device_new_acpi_pm(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	const struct acpi_pm_power power = {
		.shutdown = device_shutdown_asked,
		.reset = device_reset_asked,
		.arg = vm,
	};
	struct acpi_pm *d = NULL;
	int r;

	(void)i;
	vm->sci_irq = (struct vm_irq){ .kvm = &vm->kvm, .gsi = MACHINE_IRQ_SCI };
	r = acpi_pm_new(&d, &vm->pio, (struct dev_irq){ .set = device_irq, .arg = &vm->sci_irq },
		&power, e);
	vm->acpi_pm = d;
	*self = d;
	return r;
}

static void device_panicked(void *arg, bool panicked)
{
	struct vm *vm = arg;

	pthread_mutex_lock(&vm->lock);
	vm->panicked = panicked;
	pthread_mutex_unlock(&vm->lock);
}

static int device_new_pvpanic(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct pvpanic *d = NULL;
	int r = pvpanic_new(&d, &vm->pio, device_panicked, vm, e);

	(void)i;
	*self = d;
	return r;
}

static void device_advance_acpi_pm(void *self, uint64_t ns)
{
	acpi_pm_advance(self, ns);
}

static void device_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct vm *vm = arg;

	kvm_vm_msi(&vm->kvm, addr, data);
}

static int device_kick(void *arg, uint64_t addr, int fd, bool on)
{
	struct vm *vm = arg;

	return kvm_vm_kick(&vm->kvm, addr, fd, on);
}

static int device_new_pci(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	const struct pci_wires wires = { .msi = device_msi, .kick = device_kick, .arg = vm };
	int r = pci_bus_new(&vm->pci, &vm->pio, &vm->mmio, &wires, e);

	(void)i;
	*self = vm->pci;
	return r;
}

/* The end of every virtio device's building: its thread. */
static int device_virtio(struct virtio *v, const char *name, int r, void **self, struct err *e)
{
	if (r == 0)
		*self = v;
	return r ? r : virtio_start(v, name, e);
}

static int device_new_rng(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct virtio *v = NULL;
	int r = virtio_rng_new(&v, vm->pci, VM_SLOT_RNG, &vm->mem, e);

	(void)i;
	return device_virtio(v, "rng", r, self, e);
}

static unsigned device_count_disks(const struct vm_config *c)
{
	return c->ndisks;
}

static int device_new_disk(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	const struct vm_disk *d = &vm->cfg.disks[i];
	const struct virtio_blk_options o = {
		.block = { .name = d->name,
			.path = d->path,
			.readonly = d->readonly,
			.direct = d->direct },
		.guest = vm->cfg.name,
		.serial = d->serial,
		.queues = d->queues,
		.arriving = vm->cfg.arriving,
	};
	struct virtio *v = NULL;
	char thread[16];
	int r = virtio_blk_new(&v, vm->pci, VM_SLOT_DISKS + i, &vm->mem, &o, e);

	snprintf(thread, sizeof(thread), "disk-%.10s", d->name);
	return device_virtio(v, thread, r, self, e);
}

static unsigned device_count_nets(const struct vm_config *c)
{
	return c->nnets;
}

static int device_build_net(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct virtio *v = NULL;
	int r = device_new_net(vm, i, &v, e);

	return device_virtio(v, "net", r, self, e);
}

static int device_build_balloon(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct virtio *v = NULL;
	int r = device_new_balloon(vm, &v, e);

	(void)i;
	return device_virtio(v, "balloon", r, self, e);
}

static unsigned device_count_consoles(const struct vm_config *c)
{
	return c->console == VM_CONSOLE_VIRTIO;
}

static int device_build_console(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	struct virtio *v = NULL;
	int r = device_new_console(vm, &v, e);

	(void)i;
	return device_virtio(v, "hvc0", r, self, e);
}

/*
 * The list. @count: how many of them the definition asks for; without it, one. @advance: for a
 * device whose time stands still while it is saved. PCI devices come after their bus, each in the
 * slot that devices.h has for it.
 */
static const struct {
	const struct dev_ops *ops;
	unsigned (*count)(const struct vm_config *c);
	int (*build)(struct vm *vm, uint32_t i, void **self, struct err *e);
	void (*advance)(void *self, uint64_t ns);
} devices[] = {
	{ .ops = &serial_dev_ops, .build = device_new_serial },
	{ .ops = &rtc_dev_ops, .build = device_new_rtc },
	{ .ops = &i8042_dev_ops, .build = device_new_i8042 },
	{ .ops = &acpi_pm_dev_ops, .build = device_new_acpi_pm, .advance = device_advance_acpi_pm },
	{ .ops = &pvpanic_dev_ops, .build = device_new_pvpanic },
	{ .ops = &pci_bus_dev_ops, .build = device_new_pci },
	{ .ops = &virtio_rng_dev_ops, .build = device_new_rng },
	{ .ops = &virtio_blk_dev_ops, .count = device_count_disks, .build = device_new_disk },
	{ .ops = &virtio_balloon_dev_ops, .build = device_build_balloon },
	{ .ops = &virtio_net_dev_ops, .count = device_count_nets, .build = device_build_net },
	{ .ops = &virtio_console_dev_ops,
		.count = device_count_consoles,
		.build = device_build_console },
};
#define DEVICES (sizeof(devices) / sizeof(devices[0]))

int vm_devices_start(struct vm *vm, struct err *e)
{
	bus_init(&vm->pio);
	bus_init(&vm->mmio);
	for (size_t k = 0; k < DEVICES; k++) {
		unsigned n = devices[k].count ? devices[k].count(&vm->cfg) : 1;

		for (uint32_t i = 0; i < n; i++) {
			struct vm_device *d = &vm->dev[vm->ndev];
			int r;

			if (vm->ndev == VM_DEVICES_MAX)
				return err_set(e, -ENOSPC, "a machine has at most %d devices",
					VM_DEVICES_MAX);
			*d = (struct vm_device){
				.ops = devices[k].ops, .instance = i, .advance = devices[k].advance
			};
			vm->ndev++;
			r = devices[k].build(vm, i, &d->self, e);
			if (r)
				return err_wrap(e, "device '%s'", d->ops->name);
		}
	}
	return 0;
}

void vm_devices_stop(struct vm *vm)
{
	while (vm->ndev) {
		struct vm_device *d = &vm->dev[--vm->ndev];

		if (d->self)
			d->ops->free(d->self);
	}
	bus_fini(&vm->mmio);
	bus_fini(&vm->pio);
}

void vm_devices_reset(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ndev; i++)
		vm->dev[i].ops->reset(vm->dev[i].self);
}

void vm_devices_quiesce(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ndev; i++) {
		if (vm->dev[i].ops->quiesce)
			vm->dev[i].ops->quiesce(vm->dev[i].self);
	}
}

void vm_devices_resume(struct vm *vm)
{
	for (unsigned i = 0; i < vm->ndev; i++) {
		if (vm->dev[i].ops->resume)
			vm->dev[i].ops->resume(vm->dev[i].self);
	}
}

void vm_devices_save(struct vm *vm, struct wbuf *w)
{
	/* With input locked out: a byte the UART took after its state was read would be lost. */
	pthread_mutex_lock(&vm->in.lock);
	for (unsigned i = 0; i < vm->ndev; i++) {
		const struct vm_device *d = &vm->dev[i];
		size_t at = section_begin(w, d->ops->name, d->instance, d->ops->version);

		d->ops->save(d->self, w);
		section_end(w, at);
	}
	pthread_mutex_unlock(&vm->in.lock);
}

int vm_device_find(const struct vm *vm, const char *name, uint32_t instance)
{
	for (unsigned i = 0; i < vm->ndev; i++) {
		if (vm->dev[i].instance == instance && strcmp(vm->dev[i].ops->name, name) == 0)
			return (int)i;
	}
	return -1;
}

bool vm_device_known(const char *name)
{
	for (size_t i = 0; i < DEVICES; i++) {
		if (strcmp(devices[i].ops->name, name) == 0)
			return true;
	}
	return false;
}

int vm_device_load(struct vm *vm, unsigned i, struct section *s, struct err *e)
{
	const struct vm_device *d = &vm->dev[i];
	int r = section_version(s, d->ops->version, e);

	if (r == 0)
		r = d->ops->load(d->self, s, e);
	return r ? r : section_done(s, e);
}

void vm_devices_advance(struct vm *vm, uint64_t ns)
{
	for (unsigned i = 0; i < vm->ndev; i++) {
		if (vm->dev[i].advance)
			vm->dev[i].advance(vm->dev[i].self, ns);
	}
}

void vm_power_button(struct vm *vm)
{
	acpi_pm_power_button(vm->acpi_pm);
}

void vm_state_formats(const struct vm *vm, char *out, size_t n)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t k = 0; k < DEVICES && at < n; k++) {
		if (vm && devices[k].count && !devices[k].count(&vm->cfg))
			continue;
		at += (size_t)snprintf(
			out + at, n - at, "%s:%u ", devices[k].ops->name, devices[k].ops->version);
	}
}
