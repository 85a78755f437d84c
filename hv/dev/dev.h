/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device is to the machine: an entry in one list (hv/vm/devices.c) that builds, resets,
 * saves, loads and frees every device in the same order. A device raises its interrupt through a
 * callback and reaches guest memory only through hv/mem; it knows neither KVM nor other devices.
 * Next in the flow: hv/dev/bus.h.
 */
#ifndef WATARI_DEV_DEV_H
#define WATARI_DEV_DEV_H

#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/section.h"

/* An interrupt line: set(arg, 1) raises, set(arg, 0) lowers. Any thread, never fails. */
struct dev_irq {
	void (*set)(void *arg, int level);
	void *arg;
};

/*
 * A device's behaviour. @self is the device. Everything except irq and input callbacks runs under
 * the bus lock of hv/dev/bus.h or with the vCPUs stopped, so a device has no lock of its own unless
 * another thread (a console reader) feeds it.
 */
struct dev_ops {
	const char *name;          /* section name in saved state, e.g. "serial" */
	uint32_t version;          /* version save() writes; load() accepts 1..version */
	void (*reset)(void *self); /* power-on state; interrupt lowered */
	/* Appends the payload of this device's section. vCPUs stopped; changes nothing. */
	void (*save)(void *self, struct wbuf *w);
	/* Reads the payload; -EPROTO with a message for values the device could never hold. */
	int (*load)(void *self, struct section *s, struct err *e);
	void (*free)(void *self);
	/*
	 * Both optional, for a device with threads or descriptors of its own. quiesce(): when it
	 * returns, nothing of the device writes guest memory, raises an interrupt or changes its
	 * state. resume() undoes it, also after a load. vCPUs stopped.
	 */
	void (*quiesce)(void *self);
	void (*resume)(void *self);
};

#endif
