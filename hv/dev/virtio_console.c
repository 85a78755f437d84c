/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the console device (see virtio_console.h). Must never write to the guest but from its own
 * thread: that is what stands still while the machine is frozen.
 * Invariant: a request is served within one callback, so none is ever under way; bytes are in the
 * buffer, or in the guest's memory and told, never both.
 * Next in the flow: hv/vm/devices_console.c.
 */
#include "hv/dev/virtio_console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONSOLE_CLASS     0x078000u /* another communication controller */
#define CONSOLE_VERSION   1u
#define CONSOLE_QUEUE_MAX 64u
#define CONSOLE_SEGMENTS  64u
#define CONSOLE_CHUNK     4096u /* bytes handed on at once */
/* Bytes of one request to write at most. Linux writes 32 KiB; what a hostile guest can hold up is
 * its own freeze, and with this for milliseconds. */
#define CONSOLE_REQUEST (1u << 20)

enum { CONSOLE_RECEIVEQ, CONSOLE_TRANSMITQ, CONSOLE_QUEUES }; /* 5.3.2, port 0 */

struct virtio_console {
	struct virtio *v;
	struct virtio_console_line line;
	struct virtq_chain chain;
	int wake;    /* eventfd: there is input */
	bool wanted; /* somebody waits for room */
	size_t len;
	uint8_t in[VIRTIO_CONSOLE_INPUT]; /* the oldest first */
};

/* Takes @n bytes out of the buffer. */
static void console_took(struct virtio_console *c, size_t n)
{
	c->len -= n;
	memmove(c->in, c->in + n, c->len);
	if (c->wanted && c->len <= sizeof(c->in) / 2) {
		c->wanted = false;
		c->line.room(c->line.arg);
	}
}

/* As much of the buffer as the guest has room for. */
static void console_deliver(struct virtio_console *c)
{
	struct virtq *q = virtio_queue(c->v, CONSOLE_RECEIVEQ);
	size_t done = 0;

	/* Not while there is nothing: the guest's room waits in its queue. */
	while (done < c->len && virtq_pop(q, &c->chain) > 0) {
		size_t n;

		if (c->chain.nout) {
			virtio_needs_reset(c->v, "room for input has a part that is to be read");
			break;
		}
		n = virtq_chain_write(&c->chain, 0, c->in + done, c->len - done);
		virtq_push(q, &c->chain, (uint32_t)n);
		done += n;
	}
	virtq_signal(q);
	if (done)
		console_took(c, done);
}

/* One request to write. False: the guest broke the rules. */
static bool console_output(struct virtio_console *c)
{
	const struct virtq_chain *chain = &c->chain;
	uint8_t chunk[CONSOLE_CHUNK];
	uint64_t at = 0;
	size_t n;

	if (chain->nin || chain->out_len > CONSOLE_REQUEST) {
		virtio_needs_reset(
			c->v, chain->nin ? "a request to write has a part that is to be written"
					 : "a request to write is longer than 1 MiB");
		return false;
	}
	for (; at < chain->out_len; at += n) {
		n = virtq_chain_read(chain, at, chunk, sizeof(chunk));
		c->line.output(c->line.arg, chunk, n);
	}
	return true;
}

/* Linux waits for each of its requests, spinning: it is told at once. */
static void console_transmit(struct virtio_console *c)
{
	struct virtq *q = virtio_queue(c->v, CONSOLE_TRANSMITQ);

	while (virtq_pop(q, &c->chain) > 0 && console_output(c))
		virtq_push(q, &c->chain, 0);
	virtq_signal(q);
}

static void console_notify(void *self, unsigned q)
{
	if (q == CONSOLE_RECEIVEQ)
		console_deliver(self);
	else
		console_transmit(self);
}

static void console_woken(void *arg, uint32_t events)
{
	struct virtio_console *c = arg;
	uint64_t count;

	(void)events;
	(void)!read(c->wake, &count, sizeof(count));
	console_deliver(c);
}

static int console_activate(void *self, uint64_t features, struct err *e)
{
	struct virtio_console *c = self;

	(void)features;
	return virtio_watch(c->v, c->wake, EPOLLIN, console_woken, c, e);
}

/* What was typed stays: it has not reached the guest, whose next driver may take it. */
static bool console_reset(void *self)
{
	struct virtio_console *c = self;

	virtio_unwatch(c->v, c->wake);
	return true;
}

static void console_save(void *self, struct wbuf *w)
{
	const struct virtio_console *c = self;

	wbuf_u16(w, (uint16_t)c->len);
	wbuf_bytes(w, c->in, c->len);
}

static int console_load(void *self, uint32_t version, struct rbuf *r, struct err *e)
{
	struct virtio_console *c = self;
	size_t n = rbuf_u16(r);
	const void *p = n <= sizeof(c->in) ? rbuf_bytes(r, n) : NULL;

	(void)version;
	if (r->failed || !p)
		return err_set(e, -EPROTO, "the saved input of %zu bytes is malformed", n);
	memcpy(c->in, p, n);
	c->len = n;
	return 0;
}

static void console_free(void *self)
{
	struct virtio_console *c = self;

	virtq_chain_fini(&c->chain);
	if (c->wake >= 0)
		close(c->wake);
	free(c);
}

static const struct virtio_ops console_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.class_code = CONSOLE_CLASS,
	.activate = console_activate,
	.reset = console_reset,
	.notify = console_notify,
	.save = console_save,
	.load = console_load,
	.free = console_free,
};

const struct dev_ops virtio_console_dev_ops = VIRTIO_DEV_OPS("virtio-console", CONSOLE_VERSION);

int virtio_console_new(struct virtio **out, struct pci_bus *bus, unsigned slot,
	const struct gmem *mem, const struct virtio_console_line *line, struct err *e)
{
	struct virtio_console *c = calloc(1, sizeof(*c));
	const struct virtio_shape shape = {
		.ops = &console_ops,
		.self = c,
		.queues = CONSOLE_QUEUES,
		.queue_max = CONSOLE_QUEUE_MAX,
	};
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "no memory for a console");
	c->line = *line;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = c->wake < 0 ? err_errno(e, "cannot make a console's events") : 0;
	if (r == 0)
		r = virtq_chain_init(&c->chain, CONSOLE_SEGMENTS, e);
	if (r == 0)
		r = virtio_new(&c->v, bus, slot, mem, &shape, e);
	if (r) {
		console_free(c);
		return r;
	}
	*out = c->v;
	return 0;
}

size_t virtio_console_input(struct virtio *v, const void *p, size_t n)
{
	struct virtio_console *c = virtio_self(v);
	size_t room, taken;

	virtio_lock(v);
	room = sizeof(c->in) - c->len;
	taken = n < room ? n : room;
	memcpy(c->in + c->len, p, taken);
	c->len += taken;
	c->wanted = taken < n;
	virtio_unlock(v);
	if (taken)
		(void)!write(c->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
	return taken;
}
