/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port and memory buses: which device answers which address. Filled while the machine is built,
 * read-only afterwards; accesses from all vCPU threads are serialised by one lock, because the
 * devices here are slow by nature (fast ones go through ioeventfd and never come here).
 * Invariant: an access that no range covers reads all ones and writes nowhere.
 */
#ifndef WATARI_DEV_BUS_H
#define WATARI_DEV_BUS_H

#include <pthread.h>
#include <stdint.h>

#include "hv/base/err.h"

#define BUS_RANGES_MAX 64

/* @off from the start of the range, @size 1, 2, 4 or 8 bytes. Called under the bus lock. */
typedef uint64_t (*bus_read_fn)(void *dev, uint64_t off, unsigned size);
typedef void (*bus_write_fn)(void *dev, uint64_t off, unsigned size, uint64_t val);

struct bus_range {
	uint64_t base, len;
	unsigned width; /* answers only accesses of this size, others may be another's; 0: all */
	bus_read_fn read;
	bus_write_fn write;
	void *dev;
};

struct bus {
	pthread_mutex_t lock;
	unsigned n;
	struct bus_range range[BUS_RANGES_MAX];
};

void bus_init(struct bus *b);
void bus_fini(struct bus *b);
/* -EEXIST if some access could be its own and another's, -ENOSPC if the bus is full, both named in
 * @e. */
int bus_add(struct bus *b, const struct bus_range *r, struct err *e);
uint64_t bus_read(struct bus *b, uint64_t addr, unsigned size);
void bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val);

#endif
