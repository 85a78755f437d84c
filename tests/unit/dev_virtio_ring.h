/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a split virtqueue, in guest memory, honest by default: tests write what
 * they like over it. Next in the flow: dev_virtio_queue_test.c, dev_virtio_test.c.
 */
#ifndef WATARI_TESTS_DEV_VIRTIO_RING_H
#define WATARI_TESTS_DEV_VIRTIO_RING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hv/mem/gmem.h"

#define RING_NEXT     1u
#define RING_WRITE    2u
#define RING_INDIRECT 4u

struct ring {
	struct gmem *m;
	uint16_t size, made; /* entries; requests made available so far */
	uint64_t desc, avail, used;
};

static inline void ring_put(const struct gmem *m, uint64_t gpa, uint64_t v, unsigned n)
{
	memcpy(gmem_view(m, gpa, n), &v, n);
}

static inline uint64_t ring_get(const struct gmem *m, uint64_t gpa, unsigned n)
{
	uint64_t v = 0;

	assert_true(gmem_read(m, gpa, &v, n));
	return v;
}

/* Rings of @size entries from @base on. */
static inline struct ring ring_at(struct gmem *m, uint64_t base, uint16_t size)
{
	return (struct ring){
		.m = m, .size = size, .desc = base, .avail = base + 0x8000, .used = base + 0xa000
	};
}

static inline void ring_desc_at(const struct gmem *m, uint64_t table, unsigned i, uint64_t addr,
	uint32_t len, uint16_t flags, uint16_t next)
{
	ring_put(m, table + 16 * i, addr, 8);
	ring_put(m, table + 16 * i + 8, len, 4);
	ring_put(m, table + 16 * i + 12, flags, 2);
	ring_put(m, table + 16 * i + 14, next, 2);
}

static inline void ring_desc(
	struct ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc_at(r->m, r->desc, i, addr, len, flags, next);
}

/* Makes the request that starts at descriptor @head available. */
static inline void ring_make(struct ring *r, uint16_t head)
{
	ring_put(r->m, r->avail + 4 + 2 * (r->made % r->size), head, 2);
	r->made++;
	/* A worker may be looking. */
	__atomic_store_n(
		(uint16_t *)(void *)gmem_view(r->m, r->avail + 2, 2), r->made, __ATOMIC_SEQ_CST);
}

static inline uint16_t ring_used_idx(const struct ring *r)
{
	return (uint16_t)ring_get(r->m, r->used + 2, 2);
}

/* Entry @n (counted from the beginning) of the used ring: number, length. */
static inline uint32_t ring_used_id(const struct ring *r, unsigned n)
{
	return (uint32_t)ring_get(r->m, r->used + 4 + 8 * (n % r->size), 4);
}

static inline uint32_t ring_used_len(const struct ring *r, unsigned n)
{
	return (uint32_t)ring_get(r->m, r->used + 8 + 8 * (n % r->size), 4);
}

#endif
