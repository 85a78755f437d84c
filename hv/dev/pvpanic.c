/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the panic port (see pvpanic.h). Must never stop the guest: a kernel that panicked may still
 * dump its memory and reboot.
 * Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/pvpanic.h"

#include <errno.h>
#include <stdlib.h>

#include "hv/base/machine.h"

/* Bits of the port: read, what the device can be told; written, what happened. */
#define PVPANIC_PANICKED 0x01u
#define PVPANIC_KNOWN    PVPANIC_PANICKED

struct pvpanic {
	void (*told)(void *arg, bool panicked);
	void *arg;
	uint8_t seen;
};

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return PVPANIC_KNOWN;
}

static void pvpanic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pvpanic *p = dev;

	(void)off;
	(void)size;
	p->seen |= (uint8_t)(val & PVPANIC_KNOWN);
	if (val & PVPANIC_PANICKED)
		p->told(p->arg, true);
}

static void pvpanic_reset(void *self)
{
	struct pvpanic *p = self;

	p->seen = 0;
	p->told(p->arg, false);
}

static void pvpanic_save(void *self, struct wbuf *w)
{
	const struct pvpanic *p = self;

	wbuf_u8(w, p->seen);
}

static int pvpanic_load(void *self, struct section *s, struct err *e)
{
	struct pvpanic *p = self;
	int rc = section_version(s, pvpanic_dev_ops.version, e);
	uint8_t seen;

	if (rc)
		return rc;
	seen = rbuf_u8(&s->body);
	rc = section_done(s, e);
	if (rc)
		return rc;
	if (seen & ~PVPANIC_KNOWN)
		return err_set(e, -EPROTO, "pvpanic: events 0x%02x are impossible", seen);
	p->seen = seen;
	p->told(p->arg, seen & PVPANIC_PANICKED);
	return 0;
}

static void pvpanic_free(void *self)
{
	free(self);
}

const struct dev_ops pvpanic_dev_ops = {
	.name = "pvpanic",
	.version = 1,
	.reset = pvpanic_reset,
	.save = pvpanic_save,
	.load = pvpanic_load,
	.free = pvpanic_free,
};

int pvpanic_new(struct pvpanic **out, struct bus *pio, void (*told)(void *arg, bool panicked),
	void *arg, struct err *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	const struct bus_range range = { MACHINE_PORT_PVPANIC, 1, 1, pvpanic_read, pvpanic_write,
		p };
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the panic port");
	p->told = told;
	p->arg = arg;
	rc = bus_add(pio, &range, e);
	if (rc) {
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}
