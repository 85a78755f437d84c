/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the balloon (see virtio_balloon.h). Must never give back a page that the guest did not name,
 * nor one while gmem_keep() is in force.
 * Invariant: at most one buffer for statistics is held, and only while the device runs: it is back
 * in its queue whenever the device is held; so the core's part of the section says all there is.
 * Next in the flow: hv/mem/gmem.h.
 */
#include "hv/dev/virtio_balloon.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define BALLOON_CLASS     0x050000u /* memory controller */
#define BALLOON_VERSION   1u
#define BALLOON_QUEUE_MAX 128u
#define BALLOON_SEGMENTS  BALLOON_QUEUE_MAX
#define BALLOON_BATCH     1024u /* page numbers looked at together */
#define BALLOON_STAT_SIZE 10u   /* u16 tag, u64 value */
#define BALLOON_STATS_MAX 64u   /* in one report; more are not looked at */

#define BALLOON_F_STATS_VQ       (1ull << 1)
#define BALLOON_F_DEFLATE_ON_OOM (1ull << 2)
#define BALLOON_F_REPORTING      (1ull << 5)

enum { BALLOON_CONFIG_PAGES = 0, BALLOON_CONFIG_ACTUAL = 4, BALLOON_CONFIG_LEN = 8 };

/*
 * Queues (5.5.2). By the specification reporting is number 4. Linux before 6.11 numbers the queues
 * that are there one after the other, so that it is 3, or 2 without statistics.
 */
enum {
	BALLOON_INFLATE,
	BALLOON_DEFLATE,
	BALLOON_STATSQ,
	BALLOON_HINT,
	BALLOON_REPORT,
	BALLOON_QUEUES
};

struct virtio_balloon {
	struct virtio *v;
	struct gmem *mem;
	uint64_t features;
	int wake; /* eventfd: requests to inflate waited */
	struct virtq_chain chain;
	bool stats_held; /* the last buffer popped from the queue of statistics is with us */
	bool stats_old;  /* the next one has perhaps been read before */
	struct virtq_chain stats;
	uint64_t reported;
	uint32_t stats_known;
	uint64_t stats_ns;
	uint64_t stat[BALLOON_STATS];
	uint32_t pfn[BALLOON_BATCH];
};

static int balloon_by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Gives back @n pages by their numbers, neighbours together. False: one is not the guest's. */
static bool balloon_give(struct virtio_balloon *b, unsigned n)
{
	unsigned from = 0;

	for (unsigned i = 0; i < n; i++) {
		b->pfn[i] = le32toh(b->pfn[i]);
		if (!gmem_find(b->mem, (uint64_t)b->pfn[i] << GMEM_PAGE_SHIFT, GMEM_PAGE_SIZE))
			return false;
	}
	qsort(b->pfn, n, sizeof(b->pfn[0]), balloon_by_number);
	for (unsigned i = 1; i <= n; i++) {
		uint64_t gpa = (uint64_t)b->pfn[from] << GMEM_PAGE_SHIFT;
		uint64_t pages = b->pfn[i - 1] - b->pfn[from] + 1;

		if (i < n && b->pfn[i] - b->pfn[i - 1] <= 1)
			continue;
		gmem_give_back(b->mem, gpa, pages << GMEM_PAGE_SHIFT);
		from = i;
	}
	return true;
}

/* True unless the guest broke the rules. */
static bool balloon_inflate_one(struct virtio_balloon *b, const struct virtq_chain *c)
{
	uint64_t at = 0;

	if (c->nin || c->out_len % sizeof(b->pfn[0])) {
		virtio_needs_reset(b->v, "a request to inflate is no list of page numbers");
		return false;
	}
	while (at < c->out_len) {
		size_t n = virtq_chain_read(c, at, b->pfn, sizeof(b->pfn));

		if (!balloon_give(b, (unsigned)(n / sizeof(b->pfn[0])))) {
			virtio_needs_reset(b->v, "a page given up is not in memory");
			return false;
		}
		at += n;
	}
	return true;
}

static bool balloon_deflate_one(struct virtio_balloon *b, const struct virtq_chain *c)
{
	/* The pages are holes; the guest's next touch fills them. */
	if (c->nin == 0)
		return true;
	virtio_needs_reset(b->v, "a request to deflate is no list of page numbers");
	return false;
}

static bool balloon_report_one(struct virtio_balloon *b, const struct virtq_chain *c)
{
	for (unsigned i = c->nout; i < c->nout + c->nin; i++) {
		if (gmem_give_back(b->mem, c->gpa[i], c->iov[i].iov_len))
			b->reported += c->iov[i].iov_len;
	}
	return true;
}

/* All that is there: a guest waits for one request before it makes the next. */
static void balloon_serve(struct virtio_balloon *b, unsigned index,
	bool (*one)(struct virtio_balloon *b, const struct virtq_chain *c))
{
	struct virtq *q = virtio_queue(b->v, index);

	while (virtq_pop(q, &b->chain) > 0) {
		if (!one(b, &b->chain))
			return;
		virtq_push(q, &b->chain, 0);
	}
	virtq_signal(q);
}

/* What a buffer says. Unknown tags are passed over (5.5.6.3.1). */
static void balloon_read_stats(struct virtio_balloon *b, const struct virtq_chain *c)
{
	uint8_t entry[BALLOON_STAT_SIZE];
	uint64_t value;
	uint16_t tag;

	if (c->out_len < BALLOON_STAT_SIZE)
		return;
	b->stats_known = 0;
	for (unsigned i = 0; i < BALLOON_STATS_MAX; i++) {
		if (virtq_chain_read(c, (uint64_t)i * sizeof(entry), entry, sizeof(entry)) <
			sizeof(entry))
			break;
		memcpy(&tag, entry, sizeof(tag));
		memcpy(&value, entry + sizeof(tag), sizeof(value));
		tag = le16toh(tag);
		if (tag >= BALLOON_STATS)
			continue;
		b->stat[tag] = le64toh(value);
		b->stats_known |= 1u << tag;
	}
	b->stats_ns = clock_mono_ns();
}

/* The guest's buffer is kept until somebody wants to know more (5.5.6.3). */
static void balloon_take_stats(struct virtio_balloon *b)
{
	struct virtq *q = virtio_queue(b->v, BALLOON_STATSQ);

	if (b->stats_held || virtq_pop(q, &b->stats) <= 0)
		return;
	b->stats_held = true;
	/* After a freeze it may be the one we held before: what it says is not new. */
	if (!b->stats_old)
		balloon_read_stats(b, &b->stats);
	b->stats_old = false;
	/* Only a queue found empty asks for a kick by itself; this one was left with one taken. */
	virtq_kicks_on(q);
}

/* ---- the device -------------------------------------------------------------------------------
 */

static void balloon_woken(void *arg, uint32_t events)
{
	struct virtio_balloon *b = arg;
	uint64_t count;

	(void)events;
	if (read(b->wake, &count, sizeof(count)) == sizeof(count) && !gmem_kept(b->mem))
		balloon_serve(b, BALLOON_INFLATE, balloon_inflate_one);
}

static int balloon_activate(void *self, uint64_t features, struct err *e)
{
	struct virtio_balloon *b = self;
	int r = virtio_watch(b->v, b->wake, EPOLLIN, balloon_woken, b, e);

	b->features = r ? 0 : features;
	return r;
}

static bool balloon_reset(void *self)
{
	struct virtio_balloon *b = self;

	virtio_unwatch(b->v, b->wake);
	b->features = 0;
	b->stats_held = b->stats_old = false;
	b->stats_known = 0;
	b->stats_ns = 0;
	return true;
}

static void balloon_notify(void *self, unsigned q)
{
	struct virtio_balloon *b = self;

	if (q == BALLOON_INFLATE) {
		if (!gmem_kept(b->mem))
			balloon_serve(b, q, balloon_inflate_one);
	} else if (q == BALLOON_DEFLATE) {
		balloon_serve(b, q, balloon_deflate_one);
	} else if (q == BALLOON_STATSQ && (b->features & BALLOON_F_STATS_VQ)) {
		balloon_take_stats(b);
	} else if (b->features & BALLOON_F_REPORTING) {
		balloon_serve(b, q, balloon_report_one);
	}
}

static void balloon_quiesce(void *self)
{
	struct virtio_balloon *b = self;

	if (b->stats_held)
		virtq_unpop(virtio_queue(b->v, BALLOON_STATSQ), 1);
	b->stats_held = false;
}

static void balloon_resume(void *self)
{
	struct virtio_balloon *b = self;

	b->stats_old = true;
}

static void balloon_free(void *self)
{
	struct virtio_balloon *b = self;

	virtq_chain_fini(&b->chain);
	virtq_chain_fini(&b->stats);
	if (b->wake >= 0)
		close(b->wake);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.id = VIRTIO_ID_BALLOON,
	.class_code = BALLOON_CLASS,
	.activate = balloon_activate,
	.reset = balloon_reset,
	.notify = balloon_notify,
	.quiesce = balloon_quiesce,
	.resume = balloon_resume,
	.free = balloon_free,
};

const struct dev_ops virtio_balloon_dev_ops = VIRTIO_DEV_OPS("virtio-balloon", BALLOON_VERSION);

int virtio_balloon_new(
	struct virtio **out, struct pci_bus *bus, unsigned slot, struct gmem *mem, struct err *e)
{
	static const uint8_t config[BALLOON_CONFIG_LEN];
	struct virtio_balloon *b = calloc(1, sizeof(*b));
	const struct virtio_shape shape = {
		.ops = &balloon_ops,
		.self = b,
		.features = BALLOON_F_STATS_VQ | BALLOON_F_DEFLATE_ON_OOM | BALLOON_F_REPORTING,
		.queues = BALLOON_QUEUES,
		.queue_max = BALLOON_QUEUE_MAX,
		.config = config,
		.config_len = sizeof(config),
		.config_rw = BALLOON_CONFIG_ACTUAL,
		.config_rw_len = 4,
	};
	int r;

	if (!b)
		return err_set(e, -ENOMEM, "no memory for a balloon");
	b->mem = mem;
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = b->wake < 0 ? err_errno(e, "cannot make a balloon's events") : 0;
	if (r == 0)
		r = virtq_chain_init(&b->chain, BALLOON_SEGMENTS, e);
	if (r == 0)
		r = virtq_chain_init(&b->stats, BALLOON_SEGMENTS, e);
	if (r == 0)
		r = virtio_new(&b->v, bus, slot, mem, &shape, e);
	if (r) {
		balloon_free(b);
		return r;
	}
	*out = b->v;
	return 0;
}

/* ---- asked from outside -----------------------------------------------------------------------
 */

int virtio_balloon_ask(struct virtio *v, uint64_t bytes, struct err *e)
{
	struct virtio_balloon *b = virtio_self(v);
	uint64_t pages = bytes >> GMEM_PAGE_SHIFT;
	uint32_t le = htole32(pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX);
	int r = 0;

	virtio_lock(v);
	if (!b->features)
		r = err_set(e, -ENODEV,
			"the guest has no driver for its balloon: load virtio_balloon there");
	else
		virtio_config_set(v, BALLOON_CONFIG_PAGES, &le, sizeof(le));
	virtio_unlock(v);
	return r;
}

static uint64_t balloon_config_bytes(struct virtio *v, unsigned off)
{
	uint32_t le;

	virtio_config_get(v, off, &le, sizeof(le));
	return (uint64_t)le32toh(le) << GMEM_PAGE_SHIFT;
}

void virtio_balloon_look(struct virtio *v, struct balloon_info *out)
{
	struct virtio_balloon *b = virtio_self(v);

	virtio_lock(v);
	*out = (struct balloon_info){
		.active = b->features,
		.asked = balloon_config_bytes(v, BALLOON_CONFIG_PAGES),
		.given = balloon_config_bytes(v, BALLOON_CONFIG_ACTUAL),
		.reported = b->reported,
		.stats = b->stats_known,
		.stats_ns = b->stats_ns,
	};
	memcpy(out->stat, b->stat, sizeof(out->stat));
	if (b->stats_held) {
		struct virtq *q = virtio_queue(v, BALLOON_STATSQ);

		b->stats_held = false;
		virtq_push(q, &b->stats, 0);
		virtq_signal(q);
		if (virtq_pending(q)) /* there already, so no kick will come */
			balloon_take_stats(b);
	}
	virtio_unlock(v);
}

void virtio_balloon_wake(struct virtio *v)
{
	struct virtio_balloon *b = virtio_self(v);

	(void)!write(b->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
}
