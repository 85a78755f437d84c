/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the network card, the balloon and the console as a guest would: descriptors and rings as
 * the input has them, commands, frames from the wire, keys, saving and loading in between, and
 * state of anybody's. The first byte picks the device and its features; what follows are steps of
 * eight bytes and data. However it ends, the device can be reset and serves a right request
 * afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/dev/virtio_balloon.h"
#include "hv/dev/virtio_console.h"
#include "hv/dev/virtio_net.h"
#include "tests/lib/virtio_driver.h"

#define QUEUES     5
#define QUEUE_SIZE 16
#define PAIRS      2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct drv d;
	const struct dev_ops *ops;
	int wire[PAIRS];
	uint64_t output;
};

static void fuzz_output(void *arg, const uint8_t *p, size_t n)
{
	struct fuzz *f = arg;

	if (n == 0)
		abort();
	f->output += n + p[n - 1];
}

static void fuzz_room(void *arg)
{
	(void)arg;
}

static void fuzz_new_console(struct fuzz *f)
{
	const struct virtio_console_line line = {
		.output = fuzz_output, .room = fuzz_room, .arg = f
	};
	struct err e = { 0 };

	drv_init(&f->d);
	if (virtio_console_new(&f->d.v, f->d.bus, 0, &f->d.mem, &line, &e))
		abort();
	f->ops = &virtio_console_dev_ops;
}

static void fuzz_new(struct fuzz *f, bool net)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	int fd[PAIRS], both[2];
	struct err e = { 0 };
	struct tap tap;
	int r;

	drv_init(&f->d);
	for (int i = 0; net && i < PAIRS; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, both))
			abort();
		fd[i] = both[0];
		f->wire[i] = both[1];
	}
	if (net)
		tap_adopt(&tap, fd, PAIRS, TAP_OFFLOAD_ALL);
	r = net ? virtio_net_new(&f->d.v, f->d.bus, 0, &f->d.mem, &tap, mac, &e)
		: virtio_balloon_new(&f->d.v, f->d.bus, 0, &f->d.mem, &e);
	if (r)
		abort();
	f->ops = net ? &virtio_net_dev_ops : &virtio_balloon_dev_ops;
}

static unsigned fuzz_queues(const struct fuzz *f)
{
	return f->ops == &virtio_console_dev_ops ? 2 : QUEUES;
}

/* Places where something is, and where nothing is. */
static uint64_t fuzz_gpa(struct fuzz *f, uint8_t where, uint8_t off)
{
	const uint64_t base[] = { DRV_DATA, DRV_DATA + 0x1000, DRV_MEMORY - 0x80, f->d.q[0].desc,
		f->d.q[1].used, 0, 0xc0000000, UINT64_MAX - 0x100 };

	return base[where % 8] + off;
}

static void fuzz_save_load(struct fuzz *f)
{
	struct err e = { 0 };
	struct wbuf w;

	wbuf_init(&w);
	drv_save(&f->d, f->ops, &w);
	if (drv_load(&f->d, f->ops, w.data, w.len, &e))
		abort();
	virtio_dev_resume(f->d.v);
	wbuf_fini(&w);
}

static void fuzz_drain(struct fuzz *f)
{
	static uint8_t buf[TAP_FRAME_MAX];

	for (int i = 0; i < PAIRS; i++) {
		while (f->ops == &virtio_net_dev_ops && read(f->wire[i], buf, sizeof(buf)) > 0)
			;
	}
}

/* One step: what to do, three bytes of where, two of how much; returns bytes of data taken. */
static size_t fuzz_step(struct fuzz *f, const uint8_t *p, const uint8_t *data, size_t left)
{
	size_t n = p[4] | (p[5] & 0x1f) << 8;
	uint64_t gpa = fuzz_gpa(f, p[2], p[3]);
	unsigned q = p[1] % fuzz_queues(f);
	uint8_t *to;

	switch (p[0] % 7) {
	case 0: /* a request of one to three segments */
		drv_add(&f->d, q,
			(struct drv_seg[]){ { gpa, (uint32_t)n, p[6] & 1 },
				{ fuzz_gpa(f, p[7], p[3]), p[6], p[6] & 2 },
				{ DRV_DATA, 64, p[6] & 4 } },
			1 + p[7] % 3);
		drv_kick(&f->d, q);
		return 0;
	case 1: /* guest memory, rings too */
		n = n < left ? n : left;
		to = gmem_view(&f->d.mem, gpa, n);
		if (to)
			memcpy(to, data, n);
		return to ? n : 0;
	case 2: drv_kick(&f->d, q); return 0;
	case 3: /* a frame from the wire */
		n = n < left ? n : left;
		if (f->ops == &virtio_net_dev_ops)
			(void)!write(f->wire[q % PAIRS], data, n);
		if (f->ops == &virtio_console_dev_ops) /* or keys */
			virtio_console_input(f->d.v, data, n);
		drv_run(&f->d);
		return n;
	case 4: fuzz_save_load(f); return 0;
	case 5: drv_config_write(&f->d, p[2] % 16, 1u << (p[3] % 3), n); return 0;
	default: {
		struct balloon_info info;

		if (f->ops == &virtio_balloon_dev_ops)
			virtio_balloon_look(f->d.v, &info);
		return 0;
	}
	}
}

/* After a reset it serves a right request: bytes to send, or a page to give up. */
static void fuzz_still_works(struct fuzz *f)
{
	const bool balloon = f->ops == &virtio_balloon_dev_ops;
	const uint8_t one[64] = { 0x01 };
	unsigned q = balloon ? 0 : 1;

	drv_start(&f->d, ~0ull, fuzz_queues(f), QUEUE_SIZE);
	drv_put(&f->d, DRV_DATA, one, sizeof(one));
	drv_add(&f->d, q, &(struct drv_seg){ DRV_DATA, balloon ? 4 : 64, false }, 1);
	drv_kick(&f->d, q);
	if (drv_used(&f->d, q, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	struct fuzz f = { 0 };
	size_t at = 1;

	if (size < 1)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	if ((data[0] & 9) == 8)
		fuzz_new_console(&f);
	else
		fuzz_new(&f, data[0] & 1);
	drv_start(&f.d, data[0] & 2 ? ~0ull : ~(1ull << 15 | DRV_EVENTIDX | 1ull << 1),
		fuzz_queues(&f), QUEUE_SIZE);
	while (at + 8 <= size) {
		const uint8_t *p = data + at;

		at += 8;
		at += fuzz_step(&f, p, data + at, size - at);
		fuzz_drain(&f);
	}
	/* The whole input once more, as state of somebody else. */
	if (data[0] & 4 && drv_load(&f.d, f.ops, data + 1, size - 1, &e) == 0)
		fuzz_save_load(&f);
	virtio_dev_resume(f.d.v);
	drv_run(&f.d);
	fuzz_drain(&f);
	virtio_dev_reset(f.d.v);
	f.d.bar = 0;
	fuzz_still_works(&f);
	drv_fini(&f.d);
	for (int i = 0; f.ops == &virtio_net_dev_ops && i < PAIRS; i++)
		close(f.wire[i]);
	return 0;
}
