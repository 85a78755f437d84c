/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyboard controller (8042, ports 0x60 and 0x64) with nothing plugged in: it answers every
 * command, so that a driver learns quickly that there is neither keyboard nor mouse, keeps the A20
 * gate's bit, and resets the machine when asked to pulse its reset line. It has no interrupt.
 * Next in the flow: hv/vm/devices.c.
 */
#ifndef WATARI_DEV_I8042_H
#define WATARI_DEV_I8042_H

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"

struct i8042;

extern const struct dev_ops i8042_dev_ops; /* section "i8042" */

/*
 * Adds the controller to @pio. @reset is called on a vCPU thread, under the bus lock, when the
 * guest pulses the reset line: it must only take note. 0, -ENOMEM, or what bus_add() says.
 */
int i8042_new(
	struct i8042 **out, struct bus *pio, void (*reset)(void *arg), void *arg, struct err *e);

#endif
