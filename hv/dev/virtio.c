/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a virtio device's life: activation, reset, the worker and its loop, holding and resuming
 * (see virtio.h). Must never call into the device without the lock, nor while it is held, but for
 * what ends or saves it.
 * Next in the flow: virtio_pci.c (how the guest gets here), virtio_state.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/dev/virtio_core.h"

void virtio_interrupt(struct virtio *v, uint16_t vector, uint8_t isr)
{
	v->r.isr |= isr;
	if (vector != VIRTIO_NO_VECTOR)
		pci_dev_interrupt(&v->pci, vector);
}

static void virtio_queue_signal(void *arg, unsigned index)
{
	struct virtio *v = arg;

	virtio_interrupt(v, v->vq[index].vector, VIRTIO_ISR_QUEUE);
}

static void virtio_config_changed(struct virtio *v)
{
	v->r.generation++;
	if (v->active)
		virtio_interrupt(v, v->r.config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_needs_reset(struct virtio *v, const char *why)
{
	if (!v->complained)
		log_warn(
			"virtio device in PCI slot %u: %s; it is stopped until the guest resets it",
			v->pci.slot, why);
	v->complained = true;
	for (unsigned i = 0; i < v->nq; i++)
		v->vq[i].q.ready = false;
	if (v->r.status & VIRTIO_ST_NEEDS_RESET)
		return;
	v->r.status |= VIRTIO_ST_NEEDS_RESET;
	/* 2.1.2: the driver is told by a configuration change. */
	virtio_config_changed(v);
}

static void virtio_queue_broken(void *arg, unsigned index, const char *why)
{
	(void)index;
	virtio_needs_reset(arg, why);
}

void virtio_kick(struct virtio *v, unsigned q)
{
	uint64_t one = 1;

	(void)!write(v->vq[q].kick_fd, &one, sizeof(one));
}

/* Once for every kick or several, and nothing has to be read for it: the watch is edge-triggered.
 */
static void virtio_kicked(void *arg, uint32_t events)
{
	struct virtio_vq *vq = arg;
	struct virtio *v = vq->v;

	(void)events;
	if (v->active && vq->q.ready)
		v->ops->notify(v->self, vq->q.index);
}

static void virtio_kick_all(struct virtio *v)
{
	for (unsigned i = 0; i < v->nq; i++) {
		if (v->vq[i].q.ready)
			virtio_kick(v, i);
	}
}

int virtio_activate(struct virtio *v, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < v->nq; i++) {
		struct virtio_vq *vq = &v->vq[i];

		vq->q.event_idx = v->r.driver_features & VIRTIO_F_EVENT_IDX;
		if (vq->enabled)
			r = virtq_enable(&vq->q, vq->size, vq->desc, vq->avail, vq->used, e);
	}
	if (r == 0)
		r = v->ops->activate(v->self, v->r.driver_features, e);
	v->active = r == 0;
	if (r)
		for (unsigned i = 0; i < v->nq; i++)
			v->vq[i].q.ready = false;
	return r;
}

void virtio_clear(struct virtio *v)
{
	uint64_t drop;

	v->resetting = v->active = false;
	v->r = (struct virtio_regs){ .config_vector = VIRTIO_NO_VECTOR };
	memcpy(v->config, v->config_0, sizeof(v->config));
	for (unsigned i = 0; i < v->nq; i++) {
		struct virtio_vq *vq = &v->vq[i];

		vq->size = v->queue_max;
		vq->vector = VIRTIO_NO_VECTOR;
		vq->enabled = vq->q.ready = false;
		vq->desc = vq->avail = vq->used = 0;
		(void)!read(vq->kick_fd, &drop, sizeof(drop));
	}
}

void virtio_reset_done(struct virtio *v)
{
	if (v->resetting)
		virtio_clear(v);
}

/* The guest asks for a reset; status reads as before until it is done (4.1.4.3.1). */
static void virtio_reset_begin(struct virtio *v)
{
	bool done = true;

	if (v->resetting)
		return;
	for (unsigned i = 0; i < v->nq; i++)
		v->vq[i].q.ready = false;
	if (v->active)
		done = v->ops->reset(v->self);
	v->active = false;
	v->resetting = true;
	if (done)
		virtio_reset_done(v);
}

void virtio_stop_now(struct virtio *v)
{
	if ((v->active || v->resetting) && !v->held && v->ops->quiesce)
		v->ops->quiesce(v->self);
	virtio_reset_begin(v);
	virtio_reset_done(v);
}

/* FEATURES_OK stays off for features that were not offered, or without VERSION_1. */
static bool virtio_features_fit(const struct virtio *v)
{
	uint64_t f = v->r.driver_features;

	return !(f & ~v->features) && (f & VIRTIO_F_VERSION_1);
}

void virtio_set_status(struct virtio *v, uint8_t status)
{
	uint8_t now = v->r.status | status;
	struct err e = { 0 };

	if (status == 0) {
		virtio_reset_begin(v);
		return;
	}
	if (v->resetting)
		return;
	if (!(v->r.status & VIRTIO_ST_FEATURES_OK) && !virtio_features_fit(v))
		now &= (uint8_t) ~(VIRTIO_ST_FEATURES_OK | VIRTIO_ST_DRIVER_OK);
	if (!(now & VIRTIO_ST_FEATURES_OK))
		now &= (uint8_t)~VIRTIO_ST_DRIVER_OK;
	/* That one is the device's to set. */
	now &= (uint8_t)(~VIRTIO_ST_NEEDS_RESET | v->r.status);
	if ((now & ~v->r.status & VIRTIO_ST_DRIVER_OK) && !v->active) {
		v->r.status = now;
		if (virtio_activate(v, &e))
			virtio_needs_reset(v, e.msg);
		else
			virtio_kick_all(v);
		return;
	}
	v->r.status = now;
}

/* ---- for devices ---- */

struct virtq *virtio_queue(struct virtio *v, unsigned q)
{
	return &v->vq[q].q;
}

void *virtio_self(const struct virtio *v)
{
	return v->self;
}

uint64_t virtio_features(const struct virtio *v)
{
	return v->active ? v->r.driver_features : 0;
}

int virtio_watch(struct virtio *v, int fd, uint32_t events, loop_fn fn, void *arg, struct err *e)
{
	return loop_add(v->loop, fd, events, fn, arg, e);
}

void virtio_watch_events(struct virtio *v, int fd, uint32_t events)
{
	loop_mod(v->loop, fd, events);
}

void virtio_unwatch(struct virtio *v, int fd)
{
	loop_del(v->loop, fd);
}

void virtio_config_set(struct virtio *v, unsigned off, const void *p, unsigned len)
{
	if (off > v->config_len || len > v->config_len - off)
		return;
	memcpy(v->config + off, p, len);
	virtio_config_changed(v);
}

void virtio_config_get(const struct virtio *v, unsigned off, void *p, unsigned len)
{
	memset(p, 0, len);
	if (off <= v->config_len && len <= v->config_len - off)
		memcpy(p, v->config + off, len);
}

void virtio_lock(struct virtio *v)
{
	pthread_mutex_lock(&v->lock);
}

void virtio_unlock(struct virtio *v)
{
	pthread_mutex_unlock(&v->lock);
}

/* ---- the worker ---- */

static void virtio_woken(void *arg, uint32_t events)
{
	struct virtio *v = arg;
	uint64_t n;

	(void)events;
	(void)!read(v->wake_fd, &n, sizeof(n));
}

/*
 * Waits without the lock, works with it: so whoever has the lock knows that nothing runs. What was
 * found before a hold is looked at after it.
 */
static void *virtio_worker(void *arg)
{
	struct virtio *v = arg;
	struct loop_ready ready;
	bool quit;

	do {
		loop_wait(v->loop, &ready, -1);
		pthread_mutex_lock(&v->lock);
		while (v->held && !v->quit)
			pthread_cond_wait(&v->resumed, &v->lock);
		quit = v->quit;
		if (!quit)
			loop_dispatch(v->loop, &ready);
		pthread_mutex_unlock(&v->lock);
	} while (!quit);
	return NULL;
}

int virtio_start(struct virtio *v, const char *name, struct err *e)
{
	sigset_t all, old;
	int r;

	/* Signals are other threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&v->thread, NULL, virtio_worker, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return err_set(e, -r, "cannot start the thread of device '%s': %s", name,
			strerrordesc_np(r));
	v->threaded = true;
	pthread_setname_np(v->thread, name);
	return 0;
}

int virtio_poll(struct virtio *v)
{
	int n = 0;

	pthread_mutex_lock(&v->lock);
	if (!v->held)
		n = loop_once(v->loop, 0);
	pthread_mutex_unlock(&v->lock);
	return n;
}

static void virtio_worker_stop(struct virtio *v)
{
	uint64_t one = 1;

	if (!v->threaded)
		return;
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	pthread_cond_broadcast(&v->resumed);
	pthread_mutex_unlock(&v->lock);
	(void)!write(v->wake_fd, &one, sizeof(one));
	pthread_join(v->thread, NULL);
	v->threaded = false;
}

/* ---- for hv/vm ---- */

void virtio_dev_quiesce(void *self)
{
	struct virtio *v = self;

	pthread_mutex_lock(&v->lock);
	if (!v->held && (v->active || v->resetting) && v->ops->quiesce)
		v->ops->quiesce(v->self);
	virtio_reset_done(v);
	v->held = true;
	pthread_mutex_unlock(&v->lock);
}

void virtio_dev_resume(void *self)
{
	struct virtio *v = self;

	pthread_mutex_lock(&v->lock);
	if (v->held && v->active && v->ops->resume)
		v->ops->resume(v->self);
	v->held = false;
	/* A kick of the other host is not here, and one is never wrong: look at every queue. */
	if (v->active)
		virtio_kick_all(v);
	pthread_cond_broadcast(&v->resumed);
	pthread_mutex_unlock(&v->lock);
}

void virtio_dev_reset(void *self)
{
	struct virtio *v = self;

	pthread_mutex_lock(&v->lock);
	virtio_stop_now(v);
	v->complained = false;
	pthread_mutex_unlock(&v->lock);
	/* Without our lock: the bus's comes before it. */
	pci_dev_reset(&v->pci);
}

/* Everything but what the device itself owns; in whatever state. */
static void virtio_fini(struct virtio *v)
{
	pci_dev_fini(&v->pci);
	for (unsigned i = 0; v->vq && i < v->nq; i++) {
		if (v->vq[i].kick_fd >= 0)
			close(v->vq[i].kick_fd);
	}
	if (v->wake_fd >= 0)
		close(v->wake_fd);
	loop_free(v->loop);
	pthread_cond_destroy(&v->resumed);
	pthread_mutex_destroy(&v->lock);
	free(v->vq);
	free(v);
}

void virtio_dev_free(void *self)
{
	struct virtio *v = self;

	virtio_worker_stop(v);
	pthread_mutex_lock(&v->lock);
	virtio_stop_now(v);
	pthread_mutex_unlock(&v->lock);
	v->ops->free(v->self);
	virtio_fini(v);
}

static int virtio_queues_init(struct virtio *v, struct err *e)
{
	int r = 0;

	v->vq = calloc(v->nq, sizeof(*v->vq));
	if (!v->vq)
		return err_set(e, -ENOMEM, "no memory for %u queues", v->nq);
	for (unsigned i = 0; i < v->nq; i++)
		v->vq[i].kick_fd = -1;
	for (unsigned i = 0; r == 0 && i < v->nq; i++) {
		struct virtio_vq *vq = &v->vq[i];

		vq->v = v;
		vq->q = (struct virtq){
			.mem = v->mem,
			.index = i,
			.signal = virtio_queue_signal,
			.broken = virtio_queue_broken,
			.arg = v,
		};
		vq->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = vq->kick_fd < 0 ? err_errno(e, "cannot make the kick of queue %u", i)
				    : loop_add(v->loop, vq->kick_fd, EPOLLIN | EPOLLET,
					      virtio_kicked, vq, e);
	}
	return r;
}

static int virtio_loop_init(struct virtio *v, struct err *e)
{
	v->loop = loop_new(e);
	if (!v->loop)
		return e->code;
	v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake_fd < 0)
		return err_errno(e, "cannot make a device's wake-up");
	return loop_add(v->loop, v->wake_fd, EPOLLIN, virtio_woken, v, e);
}

static int virtio_shape_check(const struct virtio_shape *s, struct err *e)
{
	if (s->queues < 1 || s->queues > VIRTIO_QUEUES_MAX || s->queue_max < 2 ||
		s->queue_max > VIRTQ_SIZE_MAX || (s->queue_max & (s->queue_max - 1)) ||
		s->config_len > VIRTIO_CONFIG_MAX || s->config_rw > s->config_len ||
		s->config_rw_len > s->config_len - s->config_rw)
		return err_set(e, -EINVAL,
			"a virtio device of %u queues of %u entries and %u bytes of configuration "
			"cannot be made",
			s->queues, s->queue_max, s->config_len);
	return 0;
}

int virtio_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct virtio_shape *s, struct err *e)
{
	struct err own = { 0 };
	struct virtio *v;
	int r;

	if (!e)
		e = &own;
	if ((r = virtio_shape_check(s, e)))
		return r;
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, -ENOMEM, "no memory for a virtio device");
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->resumed, NULL);
	v->mem = mem;
	v->ops = s->ops;
	v->self = s->self;
	v->features = s->features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX;
	v->nq = s->queues;
	v->queue_max = s->queue_max;
	v->config_len = s->config_len;
	v->config_rw = s->config_rw;
	v->config_rw_len = s->config_rw_len;
	v->wake_fd = -1;
	if (s->config_len)
		memcpy(v->config_0, s->config, s->config_len);
	if ((r = virtio_loop_init(v, e)) || (r = virtio_queues_init(v, e))) {
		virtio_fini(v);
		return r;
	}
	virtio_clear(v);
	r = virtio_pci_init(v, bus, slot, e);
	if (r)
		virtio_fini(v);
	else
		*out = v;
	return r;
}
