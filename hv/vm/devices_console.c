/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the console's wires: the serial port and the virtio console, what both write (one stream,
 * in the order of its writing), and what is typed for the one of them that the definition names.
 * Must never take the input's lock with a device's lock held: typing and saving take them the other
 * way. Invariant: a byte that was typed is in vm->in.buf, or in the device, or with the guest. Next
 * in the flow: devices.c, which calls the two builders; console_state.c.
 */
#include <string.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/base/machine.h"
#include "hv/dev/serial.h"
#include "hv/dev/virtio_console.h"
#include "hv/vm/internal.h"

/* On a vCPU's thread or the device's. */
static void device_console_output(void *arg, const uint8_t *p, size_t n)
{
	struct vm *vm = arg;

	if (vm->scroll)
		scrollback_write(vm->scroll, p, n);
	console_write(vm->console, p, n);
}

static void device_com1_irq(void *arg, int level)
{
	struct vm_irq *irq = arg;

	kvm_vm_irq(irq->kvm, irq->gsi, level);
}

int device_new_serial(struct vm *vm, uint32_t i, void **self, struct err *e)
{
	int r;

	(void)i;
	vm->com1_irq = (struct vm_irq){ .kvm = &vm->kvm, .gsi = MACHINE_IRQ_COM1 };
	r = serial_new(&vm->com1, &vm->pio, MACHINE_PORT_COM1,
		(struct dev_irq){ .set = device_com1_irq, .arg = &vm->com1_irq },
		device_console_output, vm, e);
	*self = vm->com1;
	return r;
}

static void device_input_told(struct vm *vm)
{
	(void)!write(vm->in.fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* The device's lock is held: what waits is offered by vm_input_look(), on another thread. */
static void device_console_room(void *arg)
{
	device_input_told(arg);
}

int device_new_console(struct vm *vm, struct virtio **out, struct err *e)
{
	const struct virtio_console_line line = {
		.output = device_console_output,
		.room = device_console_room,
		.arg = vm,
	};
	int r = virtio_console_new(&vm->hvc0, vm->pci, VM_SLOT_CONSOLE, &vm->mem, &line, e);

	*out = vm->hvc0;
	return r;
}

/* The input's lock is held. */
static void device_input_offer(struct vm *vm)
{
	size_t n = 0;

	/* A machine that is moving takes no input: its state may be saved already. The reason is
	 * set before the state is saved under this lock, so one of the two sees the other. */
	if (vm->in.len && !(__atomic_load_n(&vm->hold, __ATOMIC_ACQUIRE) & VM_HOLD_MIGRATION))
		n = vm->cfg.console == VM_CONSOLE_VIRTIO
			    ? virtio_console_input(vm->hvc0, vm->in.buf, vm->in.len)
			    : serial_input(vm->com1, vm->in.buf, vm->in.len);
	memmove(vm->in.buf, vm->in.buf + n, vm->in.len - n);
	__atomic_store_n(&vm->in.len, vm->in.len - n, __ATOMIC_RELAXED);
	/* Not for every 16 bytes that a UART takes. */
	if (vm->in.wanted && vm->in.len <= sizeof(vm->in.buf) / 2) {
		vm->in.wanted = false;
		device_input_told(vm);
	}
}

void vm_input_pump(struct vm *vm)
{
	if (__atomic_load_n(&vm->in.len, __ATOMIC_RELAXED) == 0)
		return;
	pthread_mutex_lock(&vm->in.lock);
	device_input_offer(vm);
	pthread_mutex_unlock(&vm->in.lock);
}

void vm_input(struct vm *vm, const void *data, size_t len)
{
	size_t room, n;

	pthread_mutex_lock(&vm->in.lock);
	room = sizeof(vm->in.buf) - vm->in.len;
	n = len < room ? len : room;
	memcpy(vm->in.buf + vm->in.len, data, n);
	__atomic_store_n(&vm->in.len, vm->in.len + n, __ATOMIC_RELAXED);
	device_input_offer(vm);
	pthread_mutex_unlock(&vm->in.lock);
	/* As a terminal's own queue does when nobody reads. */
	if (n < len)
		log_warn("%zu bytes of console input dropped: the guest does not read", len - n);
}

size_t vm_input_room(struct vm *vm)
{
	size_t room;

	pthread_mutex_lock(&vm->in.lock);
	room = sizeof(vm->in.buf) - vm->in.len;
	vm->in.wanted |= room == 0;
	pthread_mutex_unlock(&vm->in.lock);
	return room;
}

int vm_input_fd(const struct vm *vm)
{
	return vm->in.fd;
}

void vm_input_look(struct vm *vm)
{
	uint64_t count;

	(void)!read(vm->in.fd, &count, sizeof(count));
	vm_input_pump(vm);
}
