/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the lookup from address to device and the lock around every access (see bus.h). Must never
 * hand a device an access that leaves its range: a device may index its registers by offset.
 * Next in the flow: serial.c, rtc.c, i8042.c, acpi_pm.c.
 */
#include "hv/dev/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

void bus_init(struct bus *b)
{
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
}

void bus_fini(struct bus *b)
{
	pthread_mutex_destroy(&b->lock);
	b->n = 0;
}

/* Whether an access can be that of both: it has to fit into what they share. */
static bool bus_conflict(const struct bus_range *r, const struct bus_range *o)
{
	uint64_t start = r->base > o->base ? r->base : o->base;
	uint64_t end = r->base + r->len < o->base + o->len ? r->base + r->len : o->base + o->len;
	unsigned width = r->width > o->width ? r->width : o->width;

	if (start >= end || (r->width && o->width && r->width != o->width))
		return false;
	return end - start >= width;
}

int bus_add(struct bus *b, const struct bus_range *r, struct err *e)
{
	if (r->len == 0 || r->base + r->len < r->base)
		return err_set(e, -EINVAL, "bus range at 0x%" PRIx64 " is empty or wraps", r->base);
	for (unsigned i = 0; i < b->n; i++) {
		const struct bus_range *o = &b->range[i];

		if (bus_conflict(r, o))
			return err_set(e, -EEXIST,
				"bus range 0x%" PRIx64 "-0x%" PRIx64
				" overlaps the one at 0x%" PRIx64,
				r->base, r->base + r->len - 1, o->base);
	}
	if (b->n == BUS_RANGES_MAX)
		return err_set(e, -ENOSPC,
			"no room on the bus for range 0x%" PRIx64 ": all %d are taken", r->base,
			BUS_RANGES_MAX);
	b->range[b->n++] = *r;
	return 0;
}

/* The range that holds all of addr..addr+size-1. The list is read-only once vCPUs run. */
static const struct bus_range *bus_find(const struct bus *b, uint64_t addr, unsigned size)
{
	for (unsigned i = 0; i < b->n; i++) {
		const struct bus_range *r = &b->range[i];

		if (r->width && r->width != size)
			continue;
		if (addr >= r->base && addr - r->base < r->len && size <= r->len - (addr - r->base))
			return r;
	}
	return NULL;
}

static uint64_t bus_mask(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
}

uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size)
{
	const struct bus_range *r = bus_find(b, addr, size);
	uint64_t v;

	if (!r || !r->read)
		return bus_mask(size);
	pthread_mutex_lock(&b->lock);
	v = r->read(r->dev, addr - r->base, size);
	pthread_mutex_unlock(&b->lock);
	return v & bus_mask(size);
}

void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
	const struct bus_range *r = bus_find(b, addr, size);

	if (!r || !r->write)
		return;
	pthread_mutex_lock(&b->lock);
	r->write(r->dev, addr - r->base, size, val & bus_mask(size));
	pthread_mutex_unlock(&b->lock);
}
