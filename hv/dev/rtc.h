/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 real-time clock and its CMOS memory (128 bytes, ports 0x70 and 0x71). Time is the
 * host's real time plus an offset, which changes when the guest sets its clock; the offset is what
 * is saved, so the clock is right on whatever host the guest wakes.
 * LEFT OUT: alarm, periodic and update-ended interrupts. Their registers hold what is written, the
 * flags of register C never rise and line 8 is not connected (nor named in the ACPI tables).
 * Next in the flow: hv/vm/devices.c.
 */
#ifndef WATARI_DEV_RTC_H
#define WATARI_DEV_RTC_H

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"

struct rtc;

extern const struct dev_ops rtc_dev_ops; /* section "rtc" */

/* Adds the clock to @pio. 0, -ENOMEM, or what bus_add() says. Free with rtc_dev_ops.free. */
int rtc_new(struct rtc **out, struct bus *pio, struct err *e);

/*
 * Publishes the size of RAM where old firmware interfaces look for it: bytes below 4 GiB in
 * CMOS 0x15-0x18, 0x34 and 0x35, bytes above 4 GiB in 0x5b-0x5d. Before the guest runs.
 */
void rtc_set_memory(struct rtc *r, uint64_t low_bytes, uint64_t high_bytes);

#endif
