/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card with a test's driver before it and a pair of sockets behind it, which carry what a
 * tap would. cmocka.h and what it needs come first in the file that includes this.
 * Next in the flow: tests/lib/virtio_driver.h.
 */
#ifndef WATARI_TESTS_DEV_VIRTIO_NET_RIG_H
#define WATARI_TESTS_DEV_VIRTIO_NET_RIG_H

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/dev/virtio_net_parts.h"
#include "tests/lib/virtio_driver.h"

#define RX         0
#define TX         1
#define QUEUE_SIZE 64
#define ALL        (~0ull)

static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 0x77 };

struct rig {
	struct drv d;
	int wire[TAP_QUEUES_MAX]; /* the far ends */
	unsigned pairs;
};

static inline void rig_open_offload(struct rig *r, unsigned pairs, unsigned offload)
{
	int fd[TAP_QUEUES_MAX], both[2];
	struct err e = { 0 };
	struct tap tap;

	memset(r, 0, sizeof(*r));
	r->pairs = pairs;
	for (unsigned i = 0; i < pairs; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both),
			0);
		fd[i] = both[0];
		r->wire[i] = both[1];
	}
	tap_adopt(&tap, fd, pairs, offload);
	drv_init(&r->d);
	assert_int_equal(virtio_net_new(&r->d.v, r->d.bus, 0, &r->d.mem, &tap, mac, &e), 0);
}

static inline void rig_open(struct rig *r, unsigned pairs)
{
	rig_open_offload(r, pairs, TAP_OFFLOAD_ALL);
}

static inline void rig_close(struct rig *r)
{
	drv_fini(&r->d);
	for (unsigned i = 0; i < r->pairs; i++)
		close(r->wire[i]);
}

/* One pair, all features, control queue and all. */
static inline void rig_start(struct rig *r)
{
	rig_open(r, 1);
	drv_start(&r->d, ALL, 3, QUEUE_SIZE);
}

static inline void fill(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7);
}

/* A frame comes in from the wire: @n bytes behind an empty header. */
static inline void wire_send(struct rig *r, size_t n, uint8_t seed)
{
	uint8_t *buf = calloc(1, TAP_HDR_SIZE + n);

	fill(buf + TAP_HDR_SIZE, n, seed);
	assert_int_equal(write(r->wire[0], buf, TAP_HDR_SIZE + n), TAP_HDR_SIZE + n);
	free(buf);
}

static inline void rx_buffer(struct rig *r, uint64_t gpa, uint32_t len)
{
	const struct drv_seg seg = { gpa, len, true };

	drv_add(&r->d, RX, &seg, 1);
}

static inline void assert_frame(struct rig *r, uint64_t gpa, size_t off, size_t n, uint8_t seed)
{
	uint8_t *got = malloc(n), *want = malloc(off + n);

	drv_get(&r->d, gpa, got, n);
	fill(want, off + n, seed);
	assert_memory_equal(got, want + off, n);
	free(got);
	free(want);
}

/* Answers with the acknowledgement. */
static inline uint8_t control(struct rig *r, unsigned q, const void *p, uint32_t n)
{
	const struct drv_seg seg[] = { { DRV_DATA + 0x10000, n, false },
		{ DRV_DATA + 0x11000, 1, true } };
	uint8_t ack = 0xff;

	drv_put(&r->d, seg[0].gpa, p, n);
	drv_put(&r->d, seg[1].gpa, &ack, 1);
	drv_add(&r->d, q, seg, 2);
	drv_kick(&r->d, q);
	assert_true(drv_used(&r->d, q, NULL) >= 0);
	drv_get(&r->d, seg[1].gpa, &ack, 1);
	return ack;
}

#define CONTROL(r, q, ...)                                                                         \
	control(r, q, (uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

#endif
