/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a guest's disk as a device: what the guest sees of it, its rest and its state, and the lock
 * on the image, which is where the guest is (see virtio_blk.h). Must never let the disk work
 * without that lock.
 * Next in the flow: virtio_blk_queue.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/dev/virtio_blk_internal.h"

#define VBLK_QUEUE        256u /* entries of a queue */
#define VBLK_CONFIG_LEN   60u
#define VBLK_QUIET_MS     5000 /* a move that has to wait longer for a disk is given up */
#define VBLK_LOCK_BOOT_MS 300  /* for a process that has just been killed to be gone */
#define VBLK_LOCK_BACK_MS 1000
#define VBLK_TIMER_NS     (100 * NSEC_PER_MSEC)
#define VBLK_VERSION      1u

/* How the disk was left when its state was saved. */
enum vblk_rest {
	VBLK_REST_NONE,  /* it had no lock: a rehearsal */
	VBLK_REST_QUIET, /* at rest, flushed */
	VBLK_REST_BUSY,  /* it could not come to rest */
	VBLK_RESTS
};

/* ---- the lock ---- */

void vblk_timer_arm(struct virtio_blk *d)
{
	const struct itimerspec t = { .it_value.tv_nsec = VBLK_TIMER_NS };

	timerfd_settime(d->timer, 0, &t, NULL);
}

static bool vblk_lock_again(struct virtio_blk *d, int wait_ms)
{
	struct err e;

	if (block_lock(d->block, wait_ms, &e) == 0) {
		if (d->waiting_told)
			log_info("disk '%s': goes on", block_name(d->block));
		d->waiting_told = false;
		d->handed = false;
		return true;
	}
	if (!d->waiting_told)
		log_warn("%s; the disk stands still until then", e.msg);
	d->waiting_told = true;
	return false;
}

static void vblk_timer(void *arg, uint32_t events)
{
	struct virtio_blk *d = arg;
	uint64_t count;

	(void)events;
	(void)!read(d->timer, &count, sizeof(count));
	if (d->handed) {
		return; /* the guest may be another host's: only an acquire or a resume ends that */
	} else if (!block_locked(d->block)) {
		if (vblk_lock_again(d, 0)) {
			for (unsigned q = 0; q < d->queues; q++)
				vblk_notify(d, q);
		}
		vblk_timer_arm(d);
	} else if (!d->noted) {
		block_lock_note(d->block, d->guest);
		d->noted = true;
	}
	vblk_run_starved(d);
}

/* ---- what the core asks ---- */

void vblk_unwatch(struct virtio_blk *d)
{
	virtio_unwatch(d->v, block_event_fd(d->block));
	virtio_unwatch(d->v, d->timer);
}

static int vblk_activate(void *self, uint64_t features, struct err *e)
{
	struct virtio_blk *d = self;
	int r;

	if (d->resetting)
		return err_set(e, -EBUSY, "requests from before its reset are still under way");
	d->limits.features = features;
	d->starved = d->answered = 0;
	r = virtio_watch(d->v, block_event_fd(d->block), EPOLLIN, vblk_ready, d, e);
	if (r)
		return r;
	r = virtio_watch(d->v, d->timer, EPOLLIN, vblk_timer, d, e);
	if (r) {
		virtio_unwatch(d->v, block_event_fd(d->block));
		return r;
	}
	vblk_timer_arm(d);
	return 0;
}

static bool vblk_reset(void *self)
{
	struct virtio_blk *d = self;

	if (d->nused) {
		d->resetting = true;
		return false;
	}
	vblk_unwatch(d);
	return true;
}

static void vblk_quiesce(void *self)
{
	struct virtio_blk *d = self;
	struct err e;

	if (block_drain(d->block, d->quiet_ms, &e))
		log_warn("%s", e.msg);
	vblk_reset_finish(d);
	vblk_tell(d);
}

static void vblk_save(void *self, struct wbuf *w)
{
	const struct virtio_blk *d = self;
	enum vblk_rest rest = VBLK_REST_NONE;

	if (block_locked(d->block))
		rest = d->quiet ? VBLK_REST_QUIET : VBLK_REST_BUSY;
	wbuf_u64(w, d->limits.size);
	wbuf_u32(w, d->limits.unit);
	wbuf_u8(w, d->limits.readonly);
	wbuf_u8(w, (uint8_t)rest);
}

static int vblk_load(void *self, uint32_t version, struct rbuf *r, struct err *e)
{
	struct virtio_blk *d = self;
	const char *name = block_name(d->block);
	uint64_t size = rbuf_u64(r);
	uint32_t unit = rbuf_u32(r);
	uint8_t readonly = rbuf_u8(r), rest = rbuf_u8(r);

	(void)version;
	if (r->failed || readonly > 1 || rest >= VBLK_RESTS)
		return err_set(e, -EPROTO, "disk '%s': its state is malformed", name);
	if (size != d->limits.size || unit != d->limits.unit || readonly != d->limits.readonly)
		return err_set(e, -EINVAL,
			"disk '%s': the guest knows it with %llu bytes in units of %u%s, here it has "
			"%llu in units of %u%s; is it the same image?",
			name, (unsigned long long)size, unit, readonly ? ", read-only" : "",
			(unsigned long long)d->limits.size, d->limits.unit,
			d->limits.readonly ? ", read-only" : "");
	if (rest == VBLK_REST_BUSY)
		return err_set(e, -EBUSY,
			"disk '%s': its requests did not end in time at the source, or could not be "
			"flushed",
			name);
	return 0; /* the lock comes with the commit: virtio_blk_lock() */
}

static void vblk_free(void *self)
{
	struct virtio_blk *d = self;

	if (d->timer >= 0)
		close(d->timer);
	if (d->nused) {
		/* The kernel may still write to what these point to. */
		block_close(d->block);
		return;
	}
	block_close(d->block);
	vblk_requests_free(d);
	free(d);
}

static const struct virtio_ops vblk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.class_code = 0x010000, /* mass storage */
	.activate = vblk_activate,
	.reset = vblk_reset,
	.notify = vblk_notify,
	.quiesce = vblk_quiesce,
	.save = vblk_save,
	.load = vblk_load,
	.free = vblk_free,
};

/*
 * Rest goes with freeze and thaw of the machine, which is not what the core's quiesce() and
 * resume() stand for: they also serve a reset, and only a disk that the guest's driver uses.
 */
static void vblk_dev_quiesce(void *self)
{
	struct virtio *v = self;
	struct virtio_blk *d = virtio_self(v);
	struct err e;

	virtio_dev_quiesce(v);
	virtio_lock(v);
	if (block_locked(d->block) && !block_busy(d->block)) {
		/* Also what was written before a disk that is not in use any more was reset. */
		if (block_drain(d->block, d->quiet_ms, &e) == 0)
			d->quiet = true;
		else
			log_warn("%s", e.msg);
	}
	virtio_unlock(v);
}

static void vblk_dev_resume(void *self)
{
	struct virtio *v = self;
	struct virtio_blk *d = virtio_self(v);

	virtio_lock(v);
	d->quiet = d->handed = false;
	/* Whoever lets the machine run has acquired it (hv/vm/owner.c); this is for the others. */
	if (!block_locked(d->block))
		vblk_lock_again(d, VBLK_LOCK_BACK_MS);
	/* The timer, which spares the blackout this, runs only while a driver uses the disk. */
	if (block_locked(d->block) && !d->noted && !virtio_features(v)) {
		block_lock_note(d->block, d->guest);
		d->noted = true;
	}
	vblk_timer_arm(d);
	virtio_unlock(v);
	virtio_dev_resume(v);
}

/* ---- the hand-over ---- */

struct block *virtio_blk_image(struct virtio *v)
{
	return ((struct virtio_blk *)virtio_self(v))->block;
}

int virtio_blk_release(struct virtio *v, struct err *e)
{
	struct virtio_blk *d = virtio_self(v);
	int r = 0;

	virtio_lock(v);
	if (block_locked(d->block) && !d->quiet)
		r = err_set(e, -EBUSY, "disk '%s' is not at rest", block_name(d->block));
	if (r == 0) {
		block_unlock(d->block);
		d->handed = true;
		d->noted = false;
	}
	virtio_unlock(v);
	return r;
}

int virtio_blk_lock(struct virtio *v, struct err *e)
{
	struct virtio_blk *d = virtio_self(v);
	int r;

	virtio_lock(v);
	r = block_lock(d->block, 0, e);
	virtio_unlock(v);
	return r;
}

void virtio_blk_unlock(struct virtio *v)
{
	struct virtio_blk *d = virtio_self(v);

	virtio_lock(v);
	block_unlock(d->block);
	virtio_unlock(v);
}

const struct dev_ops virtio_blk_dev_ops = {
	.name = "virtio-blk",
	.version = VBLK_VERSION,
	.reset = virtio_dev_reset,
	.save = virtio_dev_save,
	.load = virtio_dev_load,
	.free = virtio_dev_free,
	.quiesce = vblk_dev_quiesce,
	.resume = vblk_dev_resume,
};

/* struct virtio_blk_config (5.2.4). The same on every host, or a guest could not move. */
static void vblk_config(const struct virtio_blk *d, uint8_t out[VBLK_CONFIG_LEN])
{
	struct wbuf w;

	wbuf_init(&w);
	wbuf_u64(&w, d->limits.size / VBLK_SECTOR);
	wbuf_u32(&w, 0);                 /* size_max: not offered */
	wbuf_u32(&w, VBLK_SEGMENTS - 2); /* seg_max: less header and status */
	wbuf_u32(&w, 0);                 /* geometry: not offered */
	wbuf_u32(&w, d->limits.unit);    /* blk_size */
	/* Topology: 4 KiB is what filesystems and disks like, whatever the unit. */
	wbuf_u8(&w, d->limits.unit == VBLK_SECTOR ? 3 : 0); /* physical_block_exp */
	wbuf_u8(&w, 0);                                     /* alignment_offset */
	wbuf_u16(&w, (uint16_t)(4096 / d->limits.unit));    /* min_io_size */
	wbuf_u32(&w, 0);                                    /* opt_io_size */
	wbuf_u8(&w, 0);                                     /* writeback: not offered */
	wbuf_u8(&w, 0);
	wbuf_u16(&w, (uint16_t)d->queues);
	wbuf_u32(&w, VBLK_RANGE_MAX); /* discard: sectors, segments, alignment */
	wbuf_u32(&w, VBLK_RANGES);
	wbuf_u32(&w, 4096 / VBLK_SECTOR);
	wbuf_u32(&w, VBLK_RANGE_MAX); /* write-zeroes: sectors, segments, may unmap */
	wbuf_u32(&w, VBLK_RANGES);
	wbuf_u32(&w, 1);
	memset(out, 0, VBLK_CONFIG_LEN);
	if (!w.failed && w.len == VBLK_CONFIG_LEN)
		memcpy(out, w.data, w.len);
	wbuf_fini(&w);
}

static int vblk_plug(struct virtio_blk *d, struct pci_bus *bus, unsigned slot,
	const struct gmem *mem, struct err *e)
{
	uint8_t config[VBLK_CONFIG_LEN];
	struct virtio_shape s = {
		.ops = &vblk_ops,
		.self = d,
		.features = 1ull << VBLK_F_SEG_MAX | 1ull << VBLK_F_BLK_SIZE |
			    1ull << VBLK_F_FLUSH | 1ull << VBLK_F_TOPOLOGY | 1ull << VBLK_F_MQ,
		.queues = d->queues,
		.queue_max = VBLK_QUEUE,
		.config = config,
		.config_len = sizeof(config),
	};

	s.features |= d->limits.readonly ? 1ull << VBLK_F_RO
					 : 1ull << VBLK_F_DISCARD | 1ull << VBLK_F_WRITE_ZEROES;
	vblk_config(d, config);
	return virtio_new(&d->v, bus, slot, mem, &s, e);
}

static int vblk_open(struct virtio_blk *d, const struct virtio_blk_options *o, struct err *e)
{
	int r;

	d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->timer < 0)
		return err_errno(e, "disk '%s': cannot make a timer", o->block.name);
	r = block_open(&d->block, &o->block, e);
	if (r == 0 && !o->arriving)
		r = block_lock(d->block, VBLK_LOCK_BOOT_MS, e);
	if (r)
		return r;
	d->handed = o->arriving;
	if (!o->arriving) {
		block_lock_note(d->block, d->guest);
		d->noted = true;
	}
	d->limits.size = block_size(d->block);
	d->limits.unit = block_sector(d->block);
	d->limits.readonly = block_readonly(d->block);
	return 0;
}

int virtio_blk_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct virtio_blk_options *o, struct err *e)
{
	struct virtio_blk *d = calloc(1, sizeof(*d));
	int r;

	*out = NULL;
	if (!d)
		return err_set(e, -ENOMEM, "no memory for disk '%s'", o->block.name);
	d->mem = mem;
	d->queues = o->queues;
	d->quiet_ms = o->quiet_ms ? o->quiet_ms : VBLK_QUIET_MS;
	strncpy(d->guest, o->guest, sizeof(d->guest) - 1);
	if (o->serial)
		memcpy(d->id, o->serial, strnlen(o->serial, sizeof(d->id)));
	r = vblk_open(d, o, e);
	if (r == 0)
		r = vblk_plug(d, bus, slot, mem, e);
	if (r) {
		vblk_free(d);
		return r;
	}
	*out = d->v;
	return 0;
}
