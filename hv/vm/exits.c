/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what becomes of a vCPU's exit: port and memory accesses go to the buses, the rest becomes an
 * event. Must never wait: a vCPU that waits here cannot be stopped.
 * Invariant: of all that guests do wrong, an event is the worst that happens.
 * Next in the flow: hv/dev/bus.h, devices.c.
 */
#include <stdio.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/vm/internal.h"

static uint64_t exit_value(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void exit_set_value(uint8_t *p, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* A string instruction is @count accesses of the same port. */
static void exit_access(struct bus *bus, const struct vcpu_exit *x)
{
	for (uint32_t i = 0; i < x->count; i++) {
		uint8_t *p = x->data + (size_t)i * x->size;

		if (x->write)
			bus_write(bus, x->addr, x->size, exit_value(p, x->size));
		else
			exit_set_value(p, x->size, bus_read(bus, x->addr, x->size));
	}
}

static bool exit_is_com1(const struct vcpu_exit *x)
{
	return x->addr >= MACHINE_PORT_COM1 && x->addr < MACHINE_PORT_COM1 + 8;
}

static void exit_ring_full(struct vm_cpu *c)
{
	struct err e = { 0 };

	if (dirty_track_ring_full(&c->vm->track, &e))
		vm_event_raise(c->vm, VM_EVENT_CRASH, e.msg);
}

void vm_exit_serve(struct vm_cpu *c, struct vcpu_exit *x)
{
	struct vm *vm = c->vm;

	switch (x->type) {
	case VCPU_EXIT_PIO:
		exit_access(&vm->pio, x);
		/* The guest may have made room in the UART. */
		if (exit_is_com1(x))
			vm_input_pump(vm);
		break;
	case VCPU_EXIT_MMIO: exit_access(&vm->mmio, x); break;
	case VCPU_EXIT_INTR:
	case VCPU_EXIT_HLT: break;
	/* A triple fault resets a PC. */
	case VCPU_EXIT_SHUTDOWN: vm_event_raise(vm, VM_EVENT_RESET, "triple fault"); break;
	case VCPU_EXIT_RESET: vm_event_raise(vm, VM_EVENT_RESET, "asked for by the guest"); break;
	case VCPU_EXIT_POWEROFF: vm_event_raise(vm, VM_EVENT_SHUTDOWN, NULL); break;
	case VCPU_EXIT_RING_FULL: exit_ring_full(c); break;
	case VCPU_EXIT_FAILED: vm_event_raise(vm, VM_EVENT_CRASH, x->reason); break;
	}
}
