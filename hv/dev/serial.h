/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet), complete with FIFOs, loopback and the
 * interrupt behaviour that drivers probe for. Baud rate is a register only: bytes leave at once.
 * THREADS. Registers are accessed under the bus lock; serial_input() comes from the console's
 * thread, so the device has a lock of its own. tx() is called without that lock, on a vCPU thread.
 * Next in the flow: hv/vm/devices.c.
 */
#ifndef WATARI_DEV_SERIAL_H
#define WATARI_DEV_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"

struct serial;

extern const struct dev_ops serial_dev_ops; /* section "serial" */

/*
 * Adds the UART at eight ports from @port of @pio. @tx is called with bytes that the guest sent.
 * 0, -ENOMEM, or what bus_add() says. Free with serial_dev_ops.free (which does not touch @pio).
 */
int serial_new(struct serial **out, struct bus *pio, uint16_t port, struct dev_irq irq,
	void (*tx)(void *arg, const uint8_t *p, size_t n), void *arg, struct err *e);

/*
 * Bytes from the other end of the line. Returns how many the receive FIFO took (0..@n); the rest
 * is the caller's to offer again. Any thread, never blocks for long.
 */
size_t serial_input(struct serial *s, const void *p, size_t n);

#endif
