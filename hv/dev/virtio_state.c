/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a virtio device's section: PCI function, registers, queues, then the device's own part.
 * Must never load a position or an address that a device here could not have: what comes may be
 * anybody's. Loading leaves the device held; virtio_dev_resume() lets it work.
 * Next in the flow: virtio.c, docs/state-format.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hv/dev/virtio_core.h"

#define STATE_CORE_VERSION 1u

enum { QUEUE_ENABLED = 1, QUEUE_READY = 2, QUEUE_KICKS_OFF = 4, QUEUE_FLAGS = 7 };

static void queue_save(const struct virtio_vq *vq, struct wbuf *w)
{
	wbuf_u16(w, vq->size);
	wbuf_u16(w, vq->vector);
	wbuf_u64(w, vq->desc);
	wbuf_u64(w, vq->avail);
	wbuf_u64(w, vq->used);
	wbuf_u8(w, (uint8_t)((vq->enabled ? QUEUE_ENABLED : 0) | (vq->q.ready ? QUEUE_READY : 0) |
			     (vq->q.ready && vq->q.kicks_off ? QUEUE_KICKS_OFF : 0)));
	if (!vq->q.ready)
		return;
	wbuf_u16(w, vq->q.next_avail);
	wbuf_u16(w, vq->q.next_used);
	wbuf_u16(w, vq->q.told_used);
	wbuf_u16(w, vq->q.signalled);
}

void virtio_dev_save(void *self, struct wbuf *w)
{
	struct virtio *v = self;
	const struct virtio_regs *r = &v->r;

	pthread_mutex_lock(&v->lock);
	wbuf_u8(w, STATE_CORE_VERSION);
	pci_dev_save(&v->pci, w);
	wbuf_u8(w, r->status);
	wbuf_u8(w, v->active);
	wbuf_u8(w, r->generation);
	wbuf_u8(w, r->isr);
	wbuf_u16(w, r->config_vector);
	wbuf_u16(w, r->queue_sel);
	wbuf_u32(w, r->device_feature_sel);
	wbuf_u32(w, r->driver_feature_sel);
	wbuf_u64(w, r->driver_features);
	wbuf_u16(w, (uint16_t)v->config_len);
	wbuf_bytes(w, v->config, v->config_len);
	wbuf_u16(w, (uint16_t)v->nq);
	for (unsigned i = 0; i < v->nq; i++)
		queue_save(&v->vq[i], w);
	if (v->ops->save)
		v->ops->save(v->self, w);
	pthread_mutex_unlock(&v->lock);
}

/* A queue as it was saved. */
struct queue_state {
	uint16_t next_avail, next_used, told_used, signalled;
	uint8_t flags;
};

static bool vector_ok(const struct virtio *v, uint16_t vector)
{
	return vector == VIRTIO_NO_VECTOR || vector < v->pci.msix.n;
}

static int queue_load(struct virtio_vq *vq, struct queue_state *q, struct rbuf *r, struct err *e)
{
	const struct virtio *v = vq->v;

	memset(q, 0, sizeof(*q));
	vq->size = rbuf_u16(r);
	vq->vector = rbuf_u16(r);
	vq->desc = rbuf_u64(r);
	vq->avail = rbuf_u64(r);
	vq->used = rbuf_u64(r);
	q->flags = rbuf_u8(r);
	vq->enabled = q->flags & QUEUE_ENABLED;
	if (q->flags & QUEUE_READY) {
		q->next_avail = rbuf_u16(r);
		q->next_used = rbuf_u16(r);
		q->told_used = rbuf_u16(r);
		q->signalled = rbuf_u16(r);
	}
	if (r->failed || !vq->size || vq->size > v->queue_max || (vq->size & (vq->size - 1)) ||
		!vector_ok(v, vq->vector) || (q->flags & ~QUEUE_FLAGS) ||
		((q->flags & (QUEUE_READY | QUEUE_KICKS_OFF)) && !vq->enabled) ||
		(uint16_t)(q->next_avail - q->next_used) > vq->size ||
		(uint16_t)(q->next_used - q->told_used) > vq->size)
		return err_set(e, -EPROTO, "the saved queue %u is impossible", vq->q.index);
	return 0;
}

static int regs_load(
	struct virtio *v, struct virtio_regs *g, bool *active, struct rbuf *r, struct err *e)
{
	const uint8_t ready = VIRTIO_ST_DRIVER_OK | VIRTIO_ST_FEATURES_OK;
	uint8_t flag;

	g->status = rbuf_u8(r);
	flag = rbuf_u8(r);
	g->generation = rbuf_u8(r);
	g->isr = rbuf_u8(r);
	g->config_vector = rbuf_u16(r);
	g->queue_sel = rbuf_u16(r);
	g->device_feature_sel = rbuf_u32(r);
	g->driver_feature_sel = rbuf_u32(r);
	g->driver_features = rbuf_u64(r);
	*active = flag;
	if (r->failed || flag > 1 || !vector_ok(v, g->config_vector) || g->isr > 3 ||
		(flag && (g->status & ready) != ready))
		return err_set(e, -EPROTO, "the saved virtio registers are malformed");
	if ((g->status & VIRTIO_ST_FEATURES_OK) && (g->driver_features & ~v->features))
		return err_set(e, -EPROTO,
			"the guest uses virtio features 0x%" PRIx64
			" that this host's device does not have",
			g->driver_features & ~v->features);
	return 0;
}

static int config_load(struct virtio *v, struct rbuf *r, struct err *e)
{
	unsigned len = rbuf_u16(r);

	if (r->failed || len != v->config_len)
		return err_set(e, -EPROTO,
			"the saved device has %u bytes of configuration space, this one has %u",
			len, v->config_len);
	rbuf_copy(r, v->config, len);
	return r->failed ? err_set(e, -EPROTO, "the saved configuration space ends early") : 0;
}

/* Starts the device where it was: its queues with the positions they had. */
static int state_activate(struct virtio *v, const struct queue_state *q, struct err *e)
{
	int r = virtio_activate(v, e);

	if (r)
		return err_set(e, -EPROTO, "the saved device cannot go on: %s", e->msg);
	for (unsigned i = 0; i < v->nq; i++) {
		struct virtq *to = &v->vq[i].q;

		to->next_avail = q[i].next_avail;
		to->next_used = q[i].next_used;
		to->told_used = q[i].told_used;
		to->signalled = q[i].signalled;
		to->kicks_off = q[i].flags & QUEUE_KICKS_OFF;
		/* One that was broken stays so. */
		to->ready = q[i].flags & QUEUE_READY;
	}
	return 0;
}

static int state_load(struct virtio *v, struct section *s, struct err *e)
{
	struct queue_state q[VIRTIO_QUEUES_MAX];
	struct virtio_regs regs;
	unsigned nq;
	bool active;
	int r;

	if ((r = regs_load(v, &regs, &active, &s->body, e)) || (r = config_load(v, &s->body, e)))
		return r;
	nq = rbuf_u16(&s->body);
	if (s->body.failed || nq != v->nq)
		return err_set(
			e, -EPROTO, "the saved device has %u queues, this one has %u", nq, v->nq);
	for (unsigned i = 0; r == 0 && i < nq; i++) {
		r = queue_load(&v->vq[i], &q[i], &s->body, e);
		if (r == 0 && !active && (q[i].flags & QUEUE_READY))
			r = err_set(e, -EPROTO, "the saved queue %u runs without its device", i);
	}
	if (r)
		return r;
	v->r = regs;
	if (active && (r = state_activate(v, q, e)))
		return r;
	return v->ops->load ? v->ops->load(v->self, s->version, &s->body, e) : 0;
}

int virtio_dev_load(void *self, struct section *s, struct err *e)
{
	struct virtio *v = self;
	uint8_t core = rbuf_u8(&s->body);
	struct err own = { 0 };
	int r;

	if (!e)
		e = &own;
	if (s->body.failed || core < 1 || core > STATE_CORE_VERSION)
		return err_set(e, -EPROTO,
			"state section '%s' has virtio version %u, this watari knows up to %u",
			s->name, core, STATE_CORE_VERSION);
	virtio_dev_quiesce(v);
	/* The bus's lock comes before ours, so the function goes first. */
	r = pci_dev_load(&v->pci, &s->body, e);
	if (r == 0) {
		pthread_mutex_lock(&v->lock);
		virtio_stop_now(v);
		r = state_load(v, s, e);
		if (r)
			virtio_stop_now(v);
		pthread_mutex_unlock(&v->lock);
	}
	if (r)
		return err_wrap(e, "%s", s->name);
	return section_done(s, e);
}
