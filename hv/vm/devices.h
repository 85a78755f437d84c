/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's devices, from within hv/vm: one list builds, resets, stops, saves and loads them.
 * Nobody outside the folder includes it.
 * Next in the flow: devices.c.
 */
#ifndef WATARI_VM_DEVICES_H
#define WATARI_VM_DEVICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/dev.h"
#include "hv/vm/config.h"

#define VM_DEVICES_MAX 40 /* the fixed ones, and as many as a definition may have */

/*
 * PCI slots, so that a disk added to a definition leaves every other device where the guest's
 * system knows it (network interfaces are often named by their slot). The @i-th of a kind is at
 * the kind's first slot + @i.
 */
enum vm_slot {
	VM_SLOT_RNG = 1,
	VM_SLOT_BALLOON = 2,
	VM_SLOT_DISKS = 3,
	VM_SLOT_NETS = VM_SLOT_DISKS + VM_DISKS_MAX,
	VM_SLOT_CONSOLE = VM_SLOT_NETS + VM_NETS_MAX,
	VM_SLOTS_END
};
_Static_assert(VM_SLOTS_END <= 32, "a bus has 32 slots");

struct vm;

/* A device of the machine: what hv/vm/devices.c's list has built. */
struct vm_device {
	const struct dev_ops *ops;
	uint32_t instance; /* of its kind; with ops->name it is the section in saved state */
	void *self;
	void (*advance)(void *self, uint64_t ns);
};

/* Typed, and not taken by the console's device yet. */
struct vm_input {
	int fd; /* eventfd: see vm_input_fd() */
	/* under the lock; len is also read without */
	pthread_mutex_t lock;
	uint8_t buf[4096];
	size_t len;
	bool wanted; /* vm_input_room() said 0, and fd has not told of room since */
};

int vm_devices_start(struct vm *vm, struct err *e);
void vm_devices_stop(struct vm *vm);
void vm_devices_reset(struct vm *vm);
void vm_devices_save(struct vm *vm, struct wbuf *w);
/* The index of the device whose section is @name of @instance, or -1. */
int vm_device_find(const struct vm *vm, const char *name, uint32_t instance);
/* Whether there is a kind of device with sections called @name. */
bool vm_device_known(const char *name);
int vm_device_load(struct vm *vm, unsigned i, struct section *s, struct err *e);
/*
 * vCPUs stopped, also before they ran: on return no device writes guest memory, interrupts or
 * changes. Again until the resume: no change. May wait for requests that are under way.
 */
void vm_devices_quiesce(struct vm *vm);
void vm_devices_resume(struct vm *vm);
/* Moves the clocks of devices that count time on their own forward by @ns. */
void vm_devices_advance(struct vm *vm, uint64_t ns);
/* devices_net.c: the @i-th net of the definition, and the balloon. */
struct virtio;
int device_new_net(struct vm *vm, uint32_t i, struct virtio **out, struct err *e);
int device_new_balloon(struct vm *vm, struct virtio **out, struct err *e);

/* devices_console.c: the serial port, and the virtio console of a definition that has it. */
int device_new_serial(struct vm *vm, uint32_t i, void **self, struct err *e);
int device_new_console(struct vm *vm, struct virtio **out, struct err *e);

/* Offers waiting input to the console's device again. Any thread; cheap when nothing waits. */
void vm_input_pump(struct vm *vm);

#endif
