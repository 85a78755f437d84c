/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the rings of one queue (see virtio_queue.h). Must never read a field of guest memory twice:
 * the guest may change it between the check and the use. Nor index by a number of the guest's that
 * was not compared with the ring's size.
 * Invariant: next_avail - next_used (modulo 2^16) requests are outstanding, and never more than
 * `size`; both count here, what the guest's memory says of them is not believed.
 * Next in the flow: virtio.c.
 */
#include "hv/dev/virtio_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Descriptors (2.7.5), the available ring (2.7.6) and the used ring (2.7.8). */
#define DESC_SIZE     16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define RING_HEADER   4u /* flags, index */
#define USED_SIZE     8u
#define AVAIL_QUIET   1u /* the guest wants no interrupts */
#define USED_QUIET    1u /* we want no kicks */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

int virtq_chain_init(struct virtq_chain *c, unsigned max, struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->iov = calloc(max, sizeof(*c->iov));
	c->gpa = calloc(max, sizeof(*c->gpa));
	c->max = max;
	if (c->iov && c->gpa)
		return 0;
	virtq_chain_fini(c);
	return err_set(e, -ENOMEM, "no memory for requests of %u segments", max);
}

void virtq_chain_fini(struct virtq_chain *c)
{
	free(c->iov);
	free(c->gpa);
	memset(c, 0, sizeof(*c));
}

/* Segment by segment, @out from guest memory to @p, else the other way. */
static size_t chain_copy(const struct virtq_chain *c, bool out, uint64_t off, void *p, size_t len)
{
	unsigned i = out ? 0 : c->nout, end = out ? c->nout : c->nout + c->nin;
	size_t done = 0;

	for (; i < end && done < len; i++) {
		const struct iovec *v = &c->iov[i];
		size_t n;

		if (off >= v->iov_len) {
			off -= v->iov_len;
			continue;
		}
		n = v->iov_len - off < len - done ? v->iov_len - off : len - done;
		if (out)
			memcpy((uint8_t *)p + done, (uint8_t *)v->iov_base + off, n);
		else
			memcpy((uint8_t *)v->iov_base + off, (uint8_t *)p + done, n);
		done += n;
		off = 0;
	}
	return done;
}

size_t virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *dst, size_t len)
{
	return chain_copy(c, true, off, dst, len);
}

size_t virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *src, size_t len)
{
	return chain_copy(c, false, off, (void *)(uintptr_t)src, len);
}

/* Guest memory is the guest's to write at any time, so its words are read and written atomically.
 */
static uint16_t ring_load(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static void ring_store(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_RELEASE);
}

/*
 * For "write this, then read that", which the guest does the other way round with a fence between:
 * sequentially consistent, so that at least one of the two sees what the other wrote.
 */
static uint16_t ring_load_after(const uint8_t *p)
{
	return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_SEQ_CST);
}

static void ring_store_before(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_SEQ_CST);
}

static int virtq_break(struct virtq *q, const char *why)
{
	q->ready = false;
	q->broken(q->arg, q->index, why);
	return -EPROTO;
}

int virtq_enable(
	struct virtq *q, uint16_t size, uint64_t desc, uint64_t avail, uint64_t used, struct err *e)
{
	q->ready = false;
	if (size == 0 || size > VIRTQ_SIZE_MAX || (size & (size - 1)))
		return err_set(
			e, -EINVAL, "queue %u: %u entries are no size for it", q->index, size);
	if (desc % DESC_SIZE || avail % 2 || used % 4)
		return err_set(e, -EINVAL, "queue %u: a ring is not aligned", q->index);
	q->p_desc = gmem_view(q->mem, desc, (uint64_t)size * DESC_SIZE);
	q->p_avail = gmem_view(q->mem, avail, RING_HEADER + 2ull * size + 2);
	q->p_used = gmem_view(q->mem, used, RING_HEADER + (uint64_t)USED_SIZE * size + 2);
	if (!q->p_desc || !q->p_avail || !q->p_used)
		return err_set(e, -EINVAL, "queue %u: a ring is not in memory", q->index);
	q->size = size;
	q->desc = desc;
	q->avail = avail;
	q->used = used;
	q->next_avail = q->next_used = q->told_used = q->signalled = 0;
	q->kicks_off = false;
	q->ready = true;
	return 0;
}

static struct desc desc_read(const uint8_t *table, unsigned i)
{
	const uint8_t *p = table + (size_t)i * DESC_SIZE;
	struct desc d;

	/* One copy, little-endian as the host is. */
	memcpy(&d.addr, p, 8);
	memcpy(&d.len, p + 8, 4);
	memcpy(&d.flags, p + 12, 2);
	memcpy(&d.next, p + 14, 2);
	return d;
}

static const char *chain_add(struct virtq *q, struct virtq_chain *c, const struct desc *d)
{
	unsigned n = c->nout + c->nin;
	uint8_t *p;

	if (d->len == 0)
		return "a descriptor is empty";
	if (n == c->max)
		return "a request has more segments than the device said it takes";
	p = gmem_view(q->mem, d->addr, d->len);
	if (!p)
		return "a descriptor is not in memory";
	if (!(d->flags & DESC_WRITE) && c->nin)
		return "a readable descriptor follows a writable one";
	c->iov[n] = (struct iovec){ .iov_base = p, .iov_len = d->len };
	c->gpa[n] = d->addr;
	if (d->flags & DESC_WRITE) {
		c->nin++;
		c->in_len += d->len;
	} else {
		c->nout++;
		c->out_len += d->len;
	}
	return c->in_len + c->out_len > UINT32_MAX ? "a request is longer than 4 GiB" : NULL;
}

/* NULL, or what is wrong. Every table is walked for at most its own number of steps. */
static const char *chain_walk(struct virtq *q, unsigned head, struct virtq_chain *c)
{
	const uint8_t *table = q->p_desc;
	unsigned n = q->size, i = head, steps = 0;
	bool indirect = false;
	const char *why;
	struct desc d;

	c->head = (uint16_t)head;
	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
	for (;;) {
		if (i >= n)
			return "a descriptor's number is beyond the table";
		if (steps++ == n)
			return "a chain of descriptors is a loop";
		d = desc_read(table, i);
		if (!(d.flags & DESC_INDIRECT)) {
			why = chain_add(q, c, &d);
			if (why)
				return why;
			if (!(d.flags & DESC_NEXT))
				return NULL;
			i = d.next;
			continue;
		}
		if (indirect || (d.flags & DESC_NEXT))
			return "an indirect descriptor is inside a table or not the last";
		if (d.len == 0 || d.len % DESC_SIZE || d.len / DESC_SIZE > 65536)
			return "an indirect table has an impossible length";
		table = gmem_view(q->mem, d.addr, d.len);
		if (!table)
			return "an indirect table is not in memory";
		indirect = true;
		n = d.len / DESC_SIZE;
		i = steps = 0;
	}
}

/* Where the guest reads up to which entry it need not kick (2.7.10). */
static uint8_t *avail_event(const struct virtq *q)
{
	return q->p_used + RING_HEADER + (size_t)USED_SIZE * q->size;
}

static void mark_used_header(struct virtq *q)
{
	gmem_mark(q->mem, q->used, RING_HEADER);
}

/* Asks for a kick at the next entry, and looks once more: it may have come before we asked. */
static bool virtq_arm(struct virtq *q)
{
	if (q->event_idx) {
		ring_store_before(avail_event(q), q->next_avail);
		gmem_mark(q->mem, q->used + (uint64_t)(avail_event(q) - q->p_used), 2);
	} else {
		ring_store_before(q->p_used, 0);
		mark_used_header(q);
	}
	return ring_load_after(q->p_avail + 2) != q->next_avail;
}

bool virtq_pending(struct virtq *q)
{
	return q->ready && ring_load(q->p_avail + 2) != q->next_avail;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	uint16_t idx, head;
	const char *why;

	if (!q->ready)
		return 0;
	/* Acquire: the entries up to the index were written before it. */
	idx = ring_load(q->p_avail + 2);
	if (idx == q->next_avail) {
		if (q->kicks_off || !q->event_idx || !virtq_arm(q))
			return 0;
		idx = ring_load(q->p_avail + 2);
	}
	if ((uint16_t)(idx - q->next_avail) > q->size)
		return virtq_break(q, "the available index runs further than the ring");
	if ((uint16_t)(q->next_avail - q->next_used) >= q->size)
		return virtq_break(q, "more requests are made than the ring has entries");
	head = ring_load(q->p_avail + RING_HEADER + 2 * (size_t)(q->next_avail & (q->size - 1)));
	why = chain_walk(q, head, c);
	if (why)
		return virtq_break(q, why);
	q->next_avail++;
	return 1;
}

int virtq_chain_at(struct virtq *q, uint16_t head, struct virtq_chain *c)
{
	const char *why;

	if (!q->ready)
		return 0;
	why = chain_walk(q, head, c);
	return why ? virtq_break(q, why) : 1;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
	if (q->ready)
		q->next_avail = (uint16_t)(q->next_avail - n);
}

/* The pages of the first @n writable bytes are dirty. */
static void chain_mark(const struct virtq *q, const struct virtq_chain *c, uint64_t n)
{
	for (unsigned i = c->nout; n && i < c->nout + c->nin; i++) {
		uint64_t len = c->iov[i].iov_len < n ? c->iov[i].iov_len : n;

		gmem_mark(q->mem, c->gpa[i], len);
		n -= len;
	}
}

void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	uint32_t entry[2] = { c->head, written < c->in_len ? written : (uint32_t)c->in_len };
	size_t at = RING_HEADER + USED_SIZE * (size_t)(q->next_used & (q->size - 1));

	/* Also for a queue that broke meanwhile: the bytes are in the guest's memory. */
	chain_mark(q, c, entry[1]);
	if (!q->ready)
		return;
	memcpy(q->p_used + at, entry, sizeof(entry));
	gmem_mark(q->mem, q->used + at, sizeof(entry));
	q->next_used++;
}

void virtq_flush(struct virtq *q)
{
	if (!q->ready || q->told_used == q->next_used)
		return;
	/* Data and entries are there before the index says so; and the index before virtq_signal()
	 * reads whether the guest wants to know. */
	ring_store_before(q->p_used + 2, q->next_used);
	mark_used_header(q);
	q->told_used = q->next_used;
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	virtq_fill(q, c, written);
	virtq_flush(q);
}

void virtq_signal(struct virtq *q)
{
	uint16_t old = q->signalled, now = q->told_used;
	bool want;

	if (!q->ready || old == now)
		return;
	if (q->event_idx) {
		uint16_t event = ring_load_after(q->p_avail + RING_HEADER + 2 * (size_t)q->size);

		want = (uint16_t)(now - event - 1) < (uint16_t)(now - old);
	} else {
		want = !(ring_load_after(q->p_avail) & AVAIL_QUIET);
	}
	q->signalled = now;
	if (want)
		q->signal(q->arg, q->index);
}

void virtq_kicks_off(struct virtq *q)
{
	if (!q->ready || q->kicks_off)
		return;
	q->kicks_off = true;
	/* With event indices not asking again is enough. */
	if (!q->event_idx) {
		ring_store(q->p_used, USED_QUIET);
		mark_used_header(q);
	}
}

bool virtq_kicks_on(struct virtq *q)
{
	if (!q->ready)
		return false;
	q->kicks_off = false;
	return virtq_arm(q);
}
