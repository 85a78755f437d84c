/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the in-memory transport (see fake_xport.h): a link of two queues of frames, one for each
 * direction, under one mutex. Must never hand a pointer into a queue to its user without the
 * user's end owning it.
 * Invariant: frames of one direction are taken in the order they left, so a message is a fence by
 * its place in the queue.
 * Next in the flow: fake_xport_meet.c (how two ends find each other).
 */
#include "tests/lib/fake_xport_link.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hv/base/clock.h"

#define FAKE_FRAME_OVERHEAD 32 /* bytes a frame counts on the pretended wire beside its payload */
#define FAKE_WAIT_MAX       (3600 * NSEC_PER_SEC) /* no test waits longer; keeps deadlines in range */

static struct fake_frame *fake_queue_take(struct fake_queue *q)
{
	struct fake_frame *f = q->head;

	if (f) {
		q->head = f->next;
		if (!q->head)
			q->tail = &q->head;
		q->count--;
	}
	return f;
}

static void fake_queue_add(struct fake_queue *q, struct fake_frame *f)
{
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
	q->count++;
}

static void fake_frame_free(struct fake_frame *f)
{
	if (f)
		free(f->data);
	free(f);
}

static void fake_queue_fini(struct fake_queue *q)
{
	struct fake_frame *f;

	while ((f = fake_queue_take(q)))
		fake_frame_free(f);
}

struct fake_link *fake_link_new(void)
{
	struct fake_link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	for (int i = 0; i < 2; i++) {
		struct xport *x = &l->end[i];

		x->link = l;
		x->peer = &l->end[1 - i];
		x->target = i == 1;
		x->room = 64;
		x->release = UINT_MAX;
		x->posted.tail = &x->posted.head;
		x->wire.tail = &x->wire.head;
	}
	return l;
}

void fake_link_free(struct fake_link *l)
{
	for (int i = 0; i < 2; i++) {
		fake_queue_fini(&l->end[i].posted);
		fake_queue_fini(&l->end[i].wire);
		fake_frame_free(l->end[i].msg);
		free(l->end[i].done);
	}
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void fake_close(struct xport *x)
{
	struct fake_link *l;
	bool last;

	if (!x)
		return;
	l = x->link;
	pthread_mutex_lock(&l->lock);
	/* What was posted and never polled dies with the end; what left it still arrives. */
	x->closed = true;
	last = x->peer->closed;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (last)
		fake_link_free(l);
}

/* True if the fault is due at this occasion. Called with the lock held. */
static bool fake_due(struct xport *x, enum fake_fault f)
{
	if (x->fault[f] > 1)
		x->fault[f]--;
	else if (x->fault[f] == 1)
		return true;
	return false;
}

static int fake_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&x->link->lock);
	if (id >= XPORT_REGIONS_MAX || x->region[id].base || !base || size == 0 || size % 4096)
		r = err_set(e, -EINVAL, "region %u of %llu bytes cannot be added", id,
			(unsigned long long)size);
	else
		x->region[id] = (struct fake_region){ base, size };
	pthread_mutex_unlock(&x->link->lock);
	return r;
}

static bool fake_put_fits(const struct xport *x, const struct xport_put *p)
{
	const struct fake_region *g = &x->region[p->region % XPORT_REGIONS_MAX];

	return p->region < XPORT_REGIONS_MAX && g->base && p->length && p->length % 4096 == 0 &&
	       p->offset % 4096 == 0 && p->offset < g->size && p->length <= g->size - p->offset &&
	       p->offset % XPORT_BLOCK_SIZE + p->length <= XPORT_BLOCK_SIZE;
}

static int fake_post(struct xport *x, struct fake_frame *f, struct err *e)
{
	if (!f)
		return err_set(e, -ENOMEM, "no memory for a frame");
	fake_queue_add(&x->posted, f);
	return 0;
}

static int fake_put_locked(struct xport *x, const struct xport_put *p, struct err *e)
{
	struct fake_frame *f;

	if (fake_due(x, FAKE_FAIL_PUT))
		return err_set(e, -EIO, "injected: put failed");
	if (x->target || !fake_put_fits(x, p))
		return err_set(e, -EINVAL, "put of %u bytes at offset %llu of region %u is refused",
			p->length, (unsigned long long)p->offset, p->region);
	if (x->posted_puts >= x->room)
		return -EAGAIN;
	f = calloc(1, sizeof(*f));
	if (f) {
		f->is_put = true;
		f->put = *p;
		x->posted_puts++;
		x->stats.puts++;
		x->stats.put_bytes += p->zero ? 0 : p->length;
	}
	return fake_post(x, f, e);
}

static int fake_put(struct xport *x, const struct xport_put *p, struct err *e)
{
	int r;

	pthread_mutex_lock(&x->link->lock);
	r = fake_put_locked(x, p, e);
	pthread_mutex_unlock(&x->link->lock);
	return r;
}

static struct fake_frame *fake_msg_new(uint16_t type, const void *data, size_t len)
{
	struct fake_frame *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->type = type;
	f->len = len;
	f->data = malloc(len ? len : 1);
	if (!f->data) {
		free(f);
		return NULL;
	}
	if (len)
		memcpy(f->data, data, len);
	return f;
}

static int fake_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
{
	int r;

	if (len > XPORT_MSG_MAX)
		return err_set(e, -EMSGSIZE, "a message of %zu bytes is longer than %u", len,
			XPORT_MSG_MAX);
	pthread_mutex_lock(&x->link->lock);
	if (fake_due(x, FAKE_FAIL_MSG))
		r = err_set(e, -EIO, "injected: msg failed");
	else
		r = fake_post(x, fake_msg_new(type, data, len), e);
	pthread_mutex_unlock(&x->link->lock);
	return r;
}

static int fake_done_add(struct xport *x, uint64_t cookie)
{
	if (x->ndone == x->done_cap) {
		size_t cap = x->done_cap ? x->done_cap * 2 : 64;
		uint64_t *p = realloc(x->done, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->done = p;
		x->done_cap = cap;
	}
	x->done[x->ndone++] = cookie;
	return 0;
}

/* posted -> wire: here the source bytes are read, so the put is done. */
static int fake_flush(struct xport *x)
{
	struct fake_frame *f;

	while ((f = fake_queue_take(&x->posted))) {
		if (fake_due(x, FAKE_DROP)) {
			fake_frame_free(f);
			x->link->dropped = true;
			return 0;
		}
		if (f->is_put && !f->put.zero) {
			f->len = f->put.length;
			f->data = malloc(f->len);
			if (!f->data) {
				fake_frame_free(f);
				return -ENOMEM;
			}
			memcpy(f->data, x->region[f->put.region].base + f->put.offset, f->len);
		}
		if (f->is_put && fake_done_add(x, f->put.cookie)) {
			fake_frame_free(f);
			return -ENOMEM;
		}
		x->stats.wire_bytes_out += FAKE_FRAME_OVERHEAD + f->len;
		fake_queue_add(&x->wire, f);
	}
	return 0;
}

static void fake_shut(struct xport *x)
{
	pthread_mutex_lock(&x->link->lock);
	x->shut = true;
	pthread_mutex_unlock(&x->link->lock);
}

/* How many frames of the peer may be taken now: all, or in lazy mode those up to a message. */
static unsigned fake_ready(const struct xport *x)
{
	const struct xport *from = x->peer;
	unsigned n = 0, upto = 0;

	for (const struct fake_frame *f = from->wire.head; f && n < from->release; f = f->next) {
		n++;
		if (!f->is_put)
			upto = n;
	}
	return x->lazy ? upto : n;
}

/* Takes frames up to the first message. 0, or -EPROTO for a put outside the regions. */
static int fake_receive(struct xport *x, struct err *e)
{
	struct xport *from = x->peer;
	unsigned ready = fake_ready(x);

	while (ready-- && !x->msg) {
		struct fake_frame *f = fake_queue_take(&from->wire);

		if (from->release != UINT_MAX)
			from->release--;
		x->stats.wire_bytes_in += FAKE_FRAME_OVERHEAD + f->len;
		if (!f->is_put) {
			x->msg = f;
			x->msg_new = true;
			return 0;
		}
		if (x->shut) {
			fake_frame_free(f);
			return err_set(e, -EPROTO, "the source put after it was shut out");
		}
		if (!fake_put_fits(x, &f->put)) {
			err_set(e, -EPROTO,
				"the source put %u bytes at offset %llu of region %u, "
				"which is no such place here",
				f->put.length, (unsigned long long)f->put.offset, f->put.region);
			fake_frame_free(f);
			return -EPROTO;
		}
		if (f->put.zero)
			memset(x->region[f->put.region].base + f->put.offset, 0, f->put.length);
		else
			memcpy(x->region[f->put.region].base + f->put.offset, f->data, f->len);
		fake_frame_free(f);
	}
	return 0;
}

/* Completions first, in order, then the message: the same order a socket engine has. */
static int fake_collect(struct xport *x, struct xport_event *ev, int max)
{
	size_t take = x->ndone < (size_t)max ? x->ndone : (size_t)max;
	int n = 0;

	for (size_t i = 0; i < take; i++) {
		ev[n++] = (struct xport_event){ .type = XPORT_EV_PUT_DONE, .cookie = x->done[i] };
		x->posted_puts--;
	}
	if (take) {
		memmove(x->done, x->done + take, (x->ndone - take) * sizeof(*x->done));
		x->ndone -= take;
	}
	if (x->msg_new && n < max) {
		ev[n++] = (struct xport_event){ .type = XPORT_EV_MSG,
			.msg_type = x->msg->type,
			.data = x->msg->data,
			.len = x->msg->len };
		x->msg_new = false;
	}
	return n;
}

static int fake_down(struct xport *x, struct xport_event *ev, const struct err *why)
{
	x->down = true;
	x->link->dropped = true;
	pthread_cond_broadcast(&x->link->changed);
	ev[0] = (struct xport_event){ .type = XPORT_EV_DOWN, .err = *why };
	return 1;
}

/* One pass: moves frames and reports. >0 events, 0 nothing yet, <0 misuse. */
static int fake_step(struct xport *x, struct xport_event *ev, int max)
{
	struct err why = { 0 };
	int n;

	if (!x->link->dropped && !x->peer->closed && fake_flush(x))
		err_set(&why, -ENOMEM, "no memory for the frames in flight");
	if (!why.code)
		fake_receive(x, &why);
	pthread_cond_broadcast(&x->link->changed);
	n = fake_collect(x, ev, max);
	if (n || x->msg_new)
		return n;
	if (!why.code && x->link->dropped && fake_ready(x) == 0)
		err_set(&why, -ECONNRESET, "the connection was dropped");
	if (!why.code && x->peer->closed && fake_ready(x) == 0)
		err_set(&why, -ECONNRESET, "the peer closed the connection");
	return why.code ? fake_down(x, ev, &why) : 0;
}

static int fake_poll_locked(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	uint64_t wait = timeout_ns < FAKE_WAIT_MAX ? timeout_ns : FAKE_WAIT_MAX;
	uint64_t deadline = timeout_ns ? clock_mono_ns() + wait : 0;
	struct timespec ts = { .tv_sec = (time_t)(deadline / NSEC_PER_SEC),
		.tv_nsec = (long)(deadline % NSEC_PER_SEC) };

	if (x->down || max < 1)
		return err_set(e, -EINVAL, "poll on a connection that is down, or with no room");
	if (fake_due(x, FAKE_FAIL_POLL))
		return err_set(e, -EIO, "injected: poll failed");
	if (fake_due(x, FAKE_DOWN_POLL)) {
		struct err why = { -ECONNRESET, "injected: the link is down" };

		return fake_down(x, ev, &why);
	}
	if (x->msg && !x->msg_new) {
		fake_frame_free(x->msg);
		x->msg = NULL;
	}
	for (;;) {
		int n = fake_step(x, ev, max);

		if (n || timeout_ns == 0)
			return n;
		if (pthread_cond_timedwait(&x->link->changed, &x->link->lock, &ts) == ETIMEDOUT)
			return fake_step(x, ev, max);
	}
}

static int fake_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	int r;

	pthread_mutex_lock(&x->link->lock);
	r = fake_poll_locked(x, timeout_ns, ev, max, e);
	pthread_mutex_unlock(&x->link->lock);
	return r;
}

static void fake_stats(const struct xport *x, struct xport_stats *out)
{
	pthread_mutex_lock(&x->link->lock);
	*out = x->stats;
	out->streams = 1;
	for (const struct fake_frame *f = x->posted.head; f; f = f->next)
		out->in_transit_bytes += FAKE_FRAME_OVERHEAD +
					 (f->is_put ? (f->put.zero ? 0 : f->put.length) : f->len);
	for (const struct fake_frame *f = x->wire.head; f; f = f->next)
		out->in_transit_bytes += FAKE_FRAME_OVERHEAD + f->len;
	pthread_mutex_unlock(&x->link->lock);
}

static void fake_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	*out = (struct xport_probe){ .usable = true, .why = "memory of this process" };
}

void fake_xport_fault(struct xport *x, enum fake_fault f, unsigned countdown)
{
	pthread_mutex_lock(&x->link->lock);
	x->fault[f] = countdown;
	pthread_mutex_unlock(&x->link->lock);
}

void fake_xport_hold(struct xport *x)
{
	fake_xport_release(x, 0);
}

void fake_xport_release(struct xport *x, unsigned frames)
{
	pthread_mutex_lock(&x->link->lock);
	x->release = frames;
	pthread_cond_broadcast(&x->link->changed);
	pthread_mutex_unlock(&x->link->lock);
}

void fake_xport_lazy(struct xport *x, bool lazy)
{
	pthread_mutex_lock(&x->link->lock);
	x->lazy = lazy;
	pthread_mutex_unlock(&x->link->lock);
}

void fake_xport_room(struct xport *x, unsigned puts)
{
	pthread_mutex_lock(&x->link->lock);
	x->room = puts;
	pthread_mutex_unlock(&x->link->lock);
}

unsigned fake_xport_queued(struct xport *x)
{
	unsigned n;

	pthread_mutex_lock(&x->link->lock);
	n = x->wire.count;
	pthread_mutex_unlock(&x->link->lock);
	return n;
}

const struct xport_ops fake_xport_ops = {
	.name = "fake",
	.probe = fake_probe,
	.listen = fake_listen,
	.accept = fake_accept,
	.connect = fake_connect,
	.close = fake_close,
	.region_add = fake_region_add,
	.shut = fake_shut,
	.put = fake_put,
	.msg = fake_msg,
	.poll = fake_poll,
	.stats = fake_stats,
};
