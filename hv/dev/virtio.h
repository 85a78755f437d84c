/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of every virtio 1.2 device: feature negotiation, status, queues, configuration space,
 * a worker thread with an event loop, saving and loading; on PCI (virtio 1.2, 4.1) by
 * hv/dev/virtio_pci.c. A device is a struct virtio_ops and a constructor around virtio_new().
 *
 * THREADS. One lock per device: every function of virtio_ops and every watch's callback runs with
 * it held, so a device needs none of its own. Kicks and watches run on the worker; activate() and
 * reset() on a vCPU's thread, where they must not wait; quiesce(), resume(), save() and load() on
 * the migration's. While a device is held (freeze to thaw) nothing of it runs at all.
 * A guest that breaks the rules stops its device (DEVICE_NEEDS_RESET), nothing else.
 * Next in the flow: hv/dev/virtio_queue.h, hv/dev/virtio_rng.c as the shortest device.
 */
#ifndef WATARI_DEV_VIRTIO_H
#define WATARI_DEV_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/loop.h"
#include "hv/dev/dev.h"
#include "hv/dev/pci.h"
#include "hv/dev/virtio_queue.h"

#define VIRTIO_QUEUES_MAX 64u
#define VIRTIO_CONFIG_MAX 256u /* bytes of device configuration */

/* Device types (chapter 5). */
enum {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
	VIRTIO_ID_BALLOON = 5
};

struct virtio;

/* @self is the device. Under the device's lock; optional ones say so. */
struct virtio_ops {
	uint16_t id;         /* VIRTIO_ID_* */
	uint32_t class_code; /* of the PCI function, e.g. 0x010000 */
	/*
	 * The driver is ready: @features is what was agreed on. Queues are set up (virtio_queue());
	 * what was put into them already is announced by notify() afterwards. Also called by a
	 * load, before load() and resume(). Negative errno: the device needs a reset.
	 */
	int (*activate)(void *self, uint64_t features, struct err *e);
	/*
	 * Back to before activate(): no more watches, no request under way. True: done. False: it
	 * will call virtio_reset_done() from a callback once it is; the queues are then not ready
	 * already. After quiesce() it must be done. Called only while activated.
	 */
	bool (*reset)(void *self);
	/* Queue @q was kicked, or is to be looked at after a resume. On the worker. */
	void (*notify)(void *self, unsigned q);
	/* Optional. The guest wrote to the writable part of the configuration space. */
	void (*config_written)(void *self, unsigned off, unsigned len);
	/*
	 * Optional. When it returns, nothing of the device writes guest memory or changes its state
	 * any more: requests under way have finished, or will be part of save(). May wait for them.
	 */
	void (*quiesce)(void *self);
	/* Optional. After it, at the source of a failed move or the target of one, work goes on;
	 * every queue is announced by notify() after it. */
	void (*resume)(void *self);
	/* Optional, both or none. Its own part of the section, after the core's. */
	void (*save)(void *self, struct wbuf *w);
	int (*load)(void *self, uint32_t version, struct rbuf *r, struct err *e);
	void (*free)(void *self); /* after quiesce() and reset() if it was activated */
};

/* What one instance is. Copied, arrays too. */
struct virtio_shape {
	const struct virtio_ops *ops;
	void *self;
	uint64_t features;  /* its own bits; the core adds VERSION_1, INDIRECT_DESC, EVENT_IDX */
	unsigned queues;    /* 1..VIRTIO_QUEUES_MAX */
	uint16_t queue_max; /* entries of each, a power of two, up to VIRTQ_SIZE_MAX */
	const void *config; /* the configuration space as it starts, little-endian */
	unsigned config_len;
	unsigned config_rw, config_rw_len; /* the part of it that the guest may write */
};

/*
 * Makes the device, without a thread, and plugs it into @bus at @slot (0: the next). On success
 * the device owns @s->self, and virtio_dev_free() ends both; on failure the caller still does.
 */
int virtio_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct virtio_shape *s, struct err *e);
/* Starts the worker, called @name (up to 15 characters). Without it virtio_poll() does the work. */
int virtio_start(struct virtio *v, const char *name, struct err *e);
/* Runs what is ready once, on this thread; for tests and fuzzers. Returns how many ran. */
int virtio_poll(struct virtio *v);

/* ---- for devices, under the lock: from ops and callbacks ---- */

struct virtq *virtio_queue(struct virtio *v, unsigned q);
void *virtio_self(const struct virtio *v);
uint64_t virtio_features(const struct virtio *v); /* agreed on; 0 while not active */
/* Watches @fd on the worker (hv/base/loop.h); @fn runs with the lock held and never while held, and
 * must not mind that there is nothing to be had of @fd any more. */
int virtio_watch(struct virtio *v, int fd, uint32_t events, loop_fn fn, void *arg, struct err *e);
void virtio_watch_events(struct virtio *v, int fd, uint32_t events);
void virtio_unwatch(struct virtio *v, int fd);
/* Changes the configuration space, with a new generation, and tells the driver if it is active. */
void virtio_config_set(struct virtio *v, unsigned off, const void *p, unsigned len);
void virtio_config_get(const struct virtio *v, unsigned off, void *p, unsigned len);
/* The guest broke the device's rules: stops it until the guest resets it. Logged once. */
void virtio_needs_reset(struct virtio *v, const char *why);
void virtio_reset_done(struct virtio *v);

/* For any other thread that has to change a device (a control command): takes the lock. Never from
 * ops or callbacks. */
void virtio_lock(struct virtio *v);
void virtio_unlock(struct virtio *v);

/* ---- for hv/vm: the struct dev_ops of a virtio device, whose self is the struct virtio ---- */

void virtio_dev_reset(void *self);
void virtio_dev_save(void *self, struct wbuf *w);
int virtio_dev_load(void *self, struct section *s, struct err *e);
void virtio_dev_free(void *self);
void virtio_dev_quiesce(void *self); /* held from the return on; a second call changes nothing */
void virtio_dev_resume(void *self);

/* A device's file defines its own with this: section name, version of its own part. */
#define VIRTIO_DEV_OPS(section, v)                                                                 \
	{                                                                                          \
		.name = (section), .version = (v), .reset = virtio_dev_reset,                      \
		.save = virtio_dev_save, .load = virtio_dev_load, .free = virtio_dev_free,         \
		.quiesce = virtio_dev_quiesce, .resume = virtio_dev_resume,                        \
	}

#endif
