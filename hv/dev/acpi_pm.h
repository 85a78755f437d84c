/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware (ACPI 6.4, 4.8.3): PM1 event and control blocks, the PM timer, and the reset
 * register at 0xcf9. The timer runs with the host's monotonic clock and goes on over save and load.
 * LEFT OUT: the timer's overflow event. TMR_STS never rises; the counter is 32 bits wide, and no
 * system uses that event.
 * Next in the flow: hv/vm/devices.c; hv/boot/acpi.c describes these ports to the guest.
 */
#ifndef WATARI_DEV_ACPI_PM_H
#define WATARI_DEV_ACPI_PM_H

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"

struct acpi_pm;

/*
 * What the guest asks of the machine. Called on a vCPU thread, under the bus lock: a callback must
 * only take note and stop the vCPUs later. The struct is copied.
 */
struct acpi_pm_power {
	void (*shutdown)(void *arg); /* soft off: SLP_EN with the type of S5 */
	void (*reset)(void *arg);
	void *arg;
};

extern const struct dev_ops acpi_pm_dev_ops; /* section "acpi_pm" */

/* Adds the blocks to @pio. 0, -ENOMEM, or what bus_add() says. Free with acpi_pm_dev_ops.free. */
int acpi_pm_new(struct acpi_pm **out, struct bus *pio, struct dev_irq sci,
	const struct acpi_pm_power *power, struct err *e);

/* Presses the power button: the guest's system interrupt rises if it listens. Any thread that does
 * not hold the bus lock. */
void acpi_pm_power_button(struct acpi_pm *a);

/* Moves the PM timer forward by @ns, e.g. by the blackout after a load. vCPUs stopped. */
void acpi_pm_advance(struct acpi_pm *a, uint64_t ns);

#endif
