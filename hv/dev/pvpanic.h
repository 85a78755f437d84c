/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pvpanic device: one port by which a guest's kernel says that it panicked. Its interface is
 * QEMU's (docs/specs/pvpanic), which Linux drives through ACPI device QEMU0001.
 * Next in the flow: hv/vm/devices.c; hv/boot/acpi.c describes the port to the guest.
 */
#ifndef WATARI_DEV_PVPANIC_H
#define WATARI_DEV_PVPANIC_H

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"

struct pvpanic;

extern const struct dev_ops pvpanic_dev_ops; /* section "pvpanic" */

/*
 * Adds the port to @pio. @told is called with true when the guest panics, on a vCPU's thread under
 * the bus lock; with false at a reset; and with what is so after a load. 0, -ENOMEM, or what
 * bus_add() says.
 */
int pvpanic_new(struct pvpanic **out, struct bus *pio, void (*told)(void *arg, bool panicked),
	void *arg, struct err *e);

#endif
