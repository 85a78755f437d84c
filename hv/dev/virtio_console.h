/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console with one port (virtio 1.2, 5.3), the guest's hvc0: bytes both ways. Output is handed on
 * at once. Input waits in the device, in a buffer of its own size, until the guest has given it
 * room: what does not fit is its giver's to keep, and he is told when to offer it again.
 * LEFT OUT: more ports (F_MULTIPORT), the size of the window (F_SIZE: several may look at a
 * console, each with his own), the emergency write (F_EMERG_WRITE: the serial port is there for
 * that).
 * Next in the flow: virtio_console.c.
 */
#ifndef WATARI_DEV_VIRTIO_CONSOLE_H
#define WATARI_DEV_VIRTIO_CONSOLE_H

#include "hv/dev/virtio.h"

#define VIRTIO_CONSOLE_INPUT 4096u /* bytes that may wait for the guest */

extern const struct dev_ops virtio_console_dev_ops; /* section "virtio-console" */

/* The other end of the line. Both are called on the device's thread with its lock held: they must
 * not wait, nor call the device. */
struct virtio_console_line {
	void (*output)(void *arg, const uint8_t *p, size_t n); /* from the guest; 1 or more */
	/* virtio_console_input() had taken less than it was offered, and half the buffer is free.
	 */
	void (*room)(void *arg);
	void *arg;
};

/* Plugs it in at @slot (0: the next). As virtio_new(). */
int virtio_console_new(struct virtio **out, struct pci_bus *bus, unsigned slot,
	const struct gmem *mem, const struct virtio_console_line *line, struct err *e);

/*
 * Bytes for the guest, also before it has a driver and across its resets. Returns how many were
 * taken (0..@n). Any thread; waits for no guest. Not between save() and the thaw: what is taken
 * then stays on a host that the guest has left.
 */
size_t virtio_console_input(struct virtio *v, const void *p, size_t n);

#endif
