/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the registration threads (see reg.h). Must never hold its lock while it registers or scans.
 * Invariant: a job becomes a result in the same allocation, so a registration that succeeded can
 * always be reported.
 * Next in the flow: events.c.
 */
#include "transport-rdma/reg.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define XRDMA_MINCORE_PAGES 512u /* looked at in one call */

/*
 * Pinning fresh memory allocates and clears it, at one to three GB/s a thread: less than a fast
 * link. So there are several threads, but never more than half of the processors: guests run here.
 */
#define XRDMA_REG_THREADS 4

/*
 * The owner is woken for so many registered bytes at a time, and when there is nothing left to do.
 * Each time costs it, and the peer that it then tells, a wake-up; the first and what a put waits
 * for are told at once.
 */
#define XRDMA_REG_TELL (16ull << 20)

struct reg_item {
	struct reg_item *next;
	void *addr;
	size_t len;
	bool urgent;
	struct xrdma_reg_result result;
};

struct reg_queue {
	struct reg_item *head, **tail;
};

enum scan_state { SCAN_NONE, SCAN_COUNT, SCAN_WAIT, SCAN_REGISTER, SCAN_DONE };

struct reg_scan {
	enum scan_state state;
	bool all;
	struct xrdma_region *region;
	uint32_t next; /* chunk to look at */
	uint64_t bytes, chunks;
	bool busy;             /* a thread is at it */
	struct reg_item *need; /* allocated ahead, so that the scan can always report */
};

struct xrdma_reg {
	pthread_t thread[XRDMA_REG_THREADS];
	unsigned threads;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool stop;
	int fd;
	int access;
	struct ibv_pd *pd;
	struct reg_queue jobs, results;
	int results_waiting; /* atomic: lets take() look without the lock */
	uint64_t cpu_ns;     /* atomic: processor time of registering */
	uint64_t untold;     /* bytes of results since the owner was woken */
	bool told;           /* it was, once */
	struct reg_scan scan[XPORT_REGIONS_MAX];
};

static void reg_queue_add(struct reg_queue *q, struct reg_item *i, bool front)
{
	if (front) {
		i->next = q->head;
		q->head = i;
		if (!i->next)
			q->tail = &i->next;
		return;
	}
	i->next = NULL;
	*q->tail = i;
	q->tail = &i->next;
}

static struct reg_item *reg_queue_take(struct reg_queue *q)
{
	struct reg_item *i = q->head;

	if (i) {
		q->head = i->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return i;
}

/* With the lock held: wakes the owner. */
static void reg_tell(struct xrdma_reg *r)
{
	uint64_t one = 1;

	r->untold = 0;
	r->told = true;
	/* A full counter is readable as well, so a failed write loses nothing. */
	if (write(r->fd, &one, sizeof(one)) < 0)
		return;
}

/* With the lock held. A thread that finds nothing more to do tells what is untold. */
static void reg_report(struct xrdma_reg *r, struct reg_item *i)
{
	bool now = !r->told || i->urgent || i->result.type == XRDMA_REG_NEED || i->result.error;

	reg_queue_add(&r->results, i, false);
	__atomic_fetch_add(&r->results_waiting, 1, __ATOMIC_RELEASE);
	r->untold += i->len;
	if (now || r->untold >= XRDMA_REG_TELL)
		reg_tell(r);
}

static void reg_do(struct xrdma_reg *r, struct reg_item *i, int access)
{
	uint64_t from = clock_thread_ns();

	i->result.mr = ibv_reg_mr(r->pd, i->addr, i->len, access);
	i->result.error = i->result.mr ? 0 : errno;
	__atomic_fetch_add(&r->cpu_ns, clock_thread_ns() - from, __ATOMIC_RELAXED);
}

/* True if any page of the range is in memory. A range that cannot be asked about counts as such. */
static bool reg_touched(uint8_t *p, size_t len)
{
	unsigned char in[XRDMA_MINCORE_PAGES];

	while (len) {
		size_t n = len < sizeof(in) * XPORT_PAGE_SIZE ? len : sizeof(in) * XPORT_PAGE_SIZE;

		if (mincore(p, n, in) < 0)
			return true;
		for (size_t i = 0; i < n / XPORT_PAGE_SIZE; i++)
			if (in[i] & 1)
				return true;
		p += n;
		len -= n;
	}
	return false;
}

static struct reg_item *reg_item_new(const struct xrdma_region *region, uint32_t id, uint32_t chunk)
{
	struct reg_item *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->addr = xrdma_chunk_base(region, chunk);
	i->len = xrdma_chunk_len(region, chunk);
	i->result.type = XRDMA_REG_CHUNK;
	i->result.region = id;
	i->result.chunk = chunk;
	return i;
}

/* Looks at one chunk of a scan. Called without the lock: a busy scan belongs to this thread. */
static struct reg_item *reg_scan_one(struct xrdma_reg *r, struct reg_scan *s, int access)
{
	uint32_t id = (uint32_t)(s - r->scan), at = s->next++;
	struct xrdma_chunk *c = &s->region->chunk[at];
	struct reg_item *i;

	if (s->state == SCAN_COUNT) {
		c->wanted = s->all || reg_touched(xrdma_chunk_base(s->region, at),
					      xrdma_chunk_len(s->region, at));
		s->chunks += c->wanted;
		s->bytes += c->wanted ? xrdma_chunk_len(s->region, at) : 0;
		return NULL;
	}
	if (!c->wanted || !xrdma_chunk_take(c))
		return NULL;
	i = reg_item_new(s->region, id, at);
	if (!i) { /* not registered ahead, then: give the right back, a put will ask for it */
		__atomic_store_n(&c->taken, 0, __ATOMIC_RELAXED);
		return NULL;
	}
	reg_do(r, i, access);
	return i;
}

/* With the lock held: the end of a pass. */
static void reg_scan_turn(struct xrdma_reg *r, struct reg_scan *s)
{
	if (s->next < s->region->count)
		return;
	s->next = 0;
	if (s->state == SCAN_REGISTER) {
		s->state = SCAN_DONE;
		return;
	}
	s->state = SCAN_WAIT;
	s->need->result = (struct xrdma_reg_result){ .type = XRDMA_REG_NEED,
		.region = (uint32_t)(s - r->scan),
		.bytes = s->bytes,
		.chunks = s->chunks };
	reg_report(r, s->need);
	s->need = NULL;
}

static struct reg_scan *reg_scan_due(struct xrdma_reg *r)
{
	for (unsigned i = 0; i < XPORT_REGIONS_MAX; i++)
		if (!r->scan[i].busy &&
			(r->scan[i].state == SCAN_COUNT || r->scan[i].state == SCAN_REGISTER))
			return &r->scan[i];
	return NULL;
}

static void *reg_main(void *arg)
{
	struct xrdma_reg *r = arg;

	pthread_setname_np(pthread_self(), "rdma-reg");
	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct reg_item *i = reg_queue_take(&r->jobs);
		struct reg_scan *s = i ? NULL : reg_scan_due(r);
		int access = r->access;

		if (!i && !s) {
			if (r->untold)
				reg_tell(r);
			pthread_cond_wait(&r->work, &r->lock);
			continue;
		}
		if (s)
			s->busy = true;
		pthread_mutex_unlock(&r->lock);
		if (i)
			reg_do(r, i, access);
		else
			i = reg_scan_one(r, s, access);
		pthread_mutex_lock(&r->lock);
		if (i)
			reg_report(r, i);
		if (s) {
			s->busy = false;
			reg_scan_turn(r, s);
		}
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* At least one thread, or negative errno. */
static int reg_start(struct xrdma_reg *r)
{
	long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;
	unsigned want = half < 1                   ? 1
			: half < XRDMA_REG_THREADS ? (unsigned)half
						   : XRDMA_REG_THREADS;
	int rc = 0;

	while (r->threads < want && !rc) {
		rc = pthread_create(&r->thread[r->threads], NULL, reg_main, r);
		r->threads += !rc;
	}
	return r->threads ? 0 : -rc;
}

int xrdma_reg_open(struct xrdma_reg **out, struct ibv_pd *pd, int access, struct err *e)
{
	struct xrdma_reg *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_set(e, -ENOMEM, "no memory to register guest memory with");
	r->pd = pd;
	r->access = access;
	r->jobs.tail = &r->jobs.head;
	r->results.tail = &r->results.head;
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->fd < 0) {
		free(r);
		return err_errno(e, "cannot make an eventfd");
	}
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	rc = reg_start(r);
	if (rc) {
		xrdma_reg_close(r);
		return err_set(e, rc, "cannot start a thread to register guest memory: %s",
			strerrordesc_np(-rc));
	}
	*out = r;
	return 0;
}

static void reg_queue_fini(struct reg_queue *q)
{
	struct reg_item *i;

	while ((i = reg_queue_take(q))) {
		if (i->result.mr)
			ibv_dereg_mr(i->result.mr);
		free(i);
	}
}

void xrdma_reg_close(struct xrdma_reg *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->threads; i++)
		pthread_join(r->thread[i], NULL);
	reg_queue_fini(&r->jobs);
	reg_queue_fini(&r->results);
	for (unsigned i = 0; i < XPORT_REGIONS_MAX; i++)
		free(r->scan[i].need);
	pthread_cond_destroy(&r->work);
	pthread_mutex_destroy(&r->lock);
	close(r->fd);
	free(r);
}

uint64_t xrdma_reg_cpu_ns(const struct xrdma_reg *r)
{
	return __atomic_load_n(&r->cpu_ns, __ATOMIC_RELAXED);
}

int xrdma_reg_fd(const struct xrdma_reg *r)
{
	return r->fd;
}

bool xrdma_reg_take(struct xrdma_reg *r, struct xrdma_reg_result *out)
{
	struct reg_item *i;
	uint64_t ignored;

	if (__atomic_load_n(&r->results_waiting, __ATOMIC_ACQUIRE) == 0)
		return false;
	pthread_mutex_lock(&r->lock);
	i = reg_queue_take(&r->results);
	if (i && __atomic_sub_fetch(&r->results_waiting, 1, __ATOMIC_RELAXED) == 0)
		/* The last one: nothing is to wake anybody. Non-blocking, so nothing to check. */
		(void)!read(r->fd, &ignored, sizeof(ignored));
	pthread_mutex_unlock(&r->lock);
	if (!i)
		return false;
	*out = i->result;
	free(i);
	return true;
}

int xrdma_reg_push(struct xrdma_reg *r, const struct xrdma_region *region, uint32_t id,
	uint32_t first, uint32_t count, bool urgent, struct err *e)
{
	struct reg_item *i = NULL;

	pthread_mutex_lock(&r->lock);
	for (uint32_t n = 0; n < count; n++) {
		/* What is urgent goes to the front: the last first, so that it ends up in order. */
		i = reg_item_new(region, id, first + (urgent ? count - 1 - n : n));
		if (!i)
			break;
		i->urgent = urgent;
		reg_queue_add(&r->jobs, i, urgent);
	}
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	return i ? 0 : err_set(e, -ENOMEM, "no memory to register guest memory with");
}

int xrdma_reg_scan(
	struct xrdma_reg *r, struct xrdma_region *region, uint32_t id, bool all, struct err *e)
{
	struct reg_item *need = calloc(1, sizeof(*need));

	if (!need)
		return err_set(e, -ENOMEM, "no memory to register guest memory with");
	pthread_mutex_lock(&r->lock);
	r->scan[id] = (struct reg_scan){
		.state = SCAN_COUNT, .all = all, .region = region, .need = need
	};
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

void xrdma_reg_go(struct xrdma_reg *r, uint32_t id, int access)
{
	pthread_mutex_lock(&r->lock);
	r->access = access;
	if (r->scan[id].state == SCAN_WAIT)
		r->scan[id].state = SCAN_REGISTER;
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
}
