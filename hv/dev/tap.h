/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap: the host's end of a guest's network card. Opens one that exists, or makes one and puts it
 * on a bridge; what we made is gone with its last descriptor, however the process ends.
 * Frames carry a virtio_net_hdr of TAP_HDR_SIZE bytes, little-endian, in both directions
 * (Documentation/networking/tuntap.rst, virtio 1.2, 5.1.6).
 * Must never block: descriptors are O_NONBLOCK. Knows nothing of guests and their memory.
 * Next in the flow: tap_link.h, virtio_net.h.
 */
#ifndef WATARI_DEV_TAP_H
#define WATARI_DEV_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "hv/base/err.h"

#define TAP_NAME_MAX   16 /* bytes, NUL included: the kernel's IFNAMSIZ */
#define TAP_QUEUES_MAX 16
#define TAP_HDR_SIZE   12u /* virtio_net_hdr with num_buffers */
#define TAP_FRAME_MAX                                                                              \
	65562u /* header included: a segment of 64 KiB, its Ethernet header, a VLAN tag */

struct tap_config {
	const char *name; /* "": the kernel picks one; needs a bridge */
	const char
		*bridge; /* "": the tap exists and its place in the network is not our business */
	unsigned queues; /* 1..TAP_QUEUES_MAX */
	uint8_t mac[6];  /* of the guest's card; a tap we make gets it with 0xfe in front */
};

/* What a receiver of frames can take; tap_offload(). */
enum tap_offload {
	TAP_OFFLOAD_CSUM = 1, /* frames without a finished checksum; the others need it */
	TAP_OFFLOAD_TSO4 = 2,
	TAP_OFFLOAD_TSO6 = 4,
	TAP_OFFLOAD_ECN = 8,
	TAP_OFFLOAD_ALL = 15,
};

/* Owned by one device. tap_read() and tap_write() of different queues may run on different threads.
 */
struct tap {
	char name[TAP_NAME_MAX]; /* as the kernel calls it */
	bool made;               /* by us, for us */
	bool adopted;            /* tap_adopt(): no kernel behind it to be asked */
	bool multi;              /* has IFF_MULTI_QUEUE */
	unsigned queues, used;   /* open; of them attached */
	unsigned offload;        /* enum tap_offload bits that the kernel takes */
	int fd[TAP_QUEUES_MAX];
};

/*
 * -ENODEV (no /dev/net/tun, no such tap or bridge), -EPERM, -EBUSY (used by another process, or on
 * another bridge), -EINVAL and others; the sentence names tap or bridge and the way out.
 */
int tap_open(struct tap *t, const struct tap_config *c, struct err *e);
/*
 * A tap of @n descriptors that carry one frame with its header a read() or write(), and whose
 * reader understands @offload: sockets of a test, say. They belong to @t from here on.
 */
void tap_adopt(struct tap *t, const int *fd, unsigned n, unsigned offload);
/* Closes the descriptors; a tap that we made is gone then. Also for one whose open failed. */
void tap_close(struct tap *t);

/* Which offloads the reader of this tap understands: enum tap_offload bits. */
int tap_offload(struct tap *t, unsigned offload, struct err *e);
/* Frames come on the first @queues queues only, 1..t->queues. Without IFF_MULTI_QUEUE: nothing. */
int tap_use_queues(struct tap *t, unsigned queues, struct err *e);

/* One frame with its header: its bytes, or -EAGAIN when nothing waits, or another -errno. */
long tap_read(const struct tap *t, unsigned queue, void *buf, size_t size);
/* One frame with its header. 0 or -errno; -EINVAL for a header that makes no sense. */
int tap_write(const struct tap *t, unsigned queue, const struct iovec *iov, int n);
/* Throws away what waits in all queues; returns how many frames. */
unsigned tap_drain(const struct tap *t);

#endif
