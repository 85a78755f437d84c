/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the threads that allocate memory ahead of the stream (see populate.h). Must never write to
 * guest memory: MADV_POPULATE_WRITE allocates and leaves what is there as it is, so it needs no
 * agreement with the receiver, nor with zero puts that make holes again.
 * Invariant: `next` is never more than the window ahead of `stream`, and never behind it.
 * Next in the flow: pump_target.c.
 */
#include "hv/migrate/populate.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/migrate/extents.h"

/* A piece of work: a huge page, or as many small ones. */
#define POPULATE_CHUNK_PAGES 512

/*
 * Where to go on when the stream has overtaken us: so far ahead of it that it does not at once do
 * so again. The pages between are the receiver's: both then allocate, each its own part.
 */
#define POPULATE_LEAD_PAGES (8ull * POPULATE_CHUNK_PAGES)

#define POPULATE_WINDOW_PAGES (POPULATE_WINDOW >> GMEM_PAGE_SHIFT)
#define POPULATE_THREADS_MAX  8

struct populate {
	const struct gmem *mem;
	struct extents extents;
	pthread_t thread[POPULATE_THREADS_MAX];
	unsigned threads;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t moved;
	bool quit;
	uint64_t next;   /* the first page, counted over all extents, nobody has taken */
	uint64_t stream; /* where the stream is, counted likewise */
	uint64_t bytes, cpu_ns;
};

/* Takes the next piece: pages @*first.. of @*region. False: there is none any more. */
static bool populate_take(struct populate *p, uint32_t *region, uint64_t *first, uint64_t *pages)
{
	const struct extent *x;

	while (!p->quit && p->next < p->extents.pages &&
		p->next >= p->stream + POPULATE_WINDOW_PAGES)
		pthread_cond_wait(&p->moved, &p->lock);
	if (p->next < p->stream)
		p->next = p->stream + POPULATE_LEAD_PAGES;
	if (p->quit || p->next >= p->extents.pages)
		return false;
	x = extents_at(&p->extents, p->next);
	*region = x->region;
	*first = x->page + (p->next - x->before);
	/* To the next boundary, so that a huge page is one piece. */
	*pages = POPULATE_CHUNK_PAGES - *first % POPULATE_CHUNK_PAGES;
	if (*pages > x->page + x->pages - *first)
		*pages = x->page + x->pages - *first;
	p->next += *pages;
	return true;
}

/*
 * Only processors that would idle allocate ahead: a page costs more here than at the receiver,
 * which finds it in its cache after clearing it. That it is refused changes nothing but the cost.
 */
static void populate_idle(pthread_t t, bool idle)
{
	const struct sched_param none = { 0 };

	pthread_setschedparam(t, idle ? SCHED_IDLE : SCHED_OTHER, &none);
}

static void *populate_main(void *arg)
{
	struct populate *p = arg;
	uint64_t first, pages;
	uint32_t region;

	pthread_setname_np(pthread_self(), "mig-populate");
	populate_idle(pthread_self(), true);
	pthread_mutex_lock(&p->lock);
	while (populate_take(p, &region, &first, &pages)) {
		bool ok;

		pthread_mutex_unlock(&p->lock);
		ok = gmem_populate(p->mem, &p->mem->regions[region], first << GMEM_PAGE_SHIFT,
			     pages << GMEM_PAGE_SHIFT) == 0;
		pthread_mutex_lock(&p->lock);
		/* No memory, or a kernel without the call: the receiver's touch will say so. */
		p->quit |= !ok;
		p->bytes += ok ? pages << GMEM_PAGE_SHIFT : 0;
	}
	p->cpu_ns += clock_thread_ns();
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* One thread for two processors: the other half receives and serves interrupts. */
static unsigned populate_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN) / 2;

	return cpus < 1 ? 1 : cpus > POPULATE_THREADS_MAX ? POPULATE_THREADS_MAX : (unsigned)cpus;
}

int populate_start(struct populate **out, const struct gmem *m, struct rbuf *extents, struct err *e)
{
	struct populate *p = calloc(1, sizeof(*p));
	unsigned want = populate_threads();
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "no memory to allocate memory ahead");
	p->mem = m;
	r = extents_decode(&p->extents, extents, m, e);
	if (r) {
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->moved, NULL);
	/* Fewer threads than wanted, or none, is slower and nothing else. */
	while (p->threads < want &&
		pthread_create(&p->thread[p->threads], NULL, populate_main, p) == 0)
		p->threads++;
	*out = p;
	return 0;
}

void populate_at(struct populate *p, uint32_t region, uint64_t end)
{
	uint64_t at = extents_before(&p->extents, region, end >> GMEM_PAGE_SHIFT);

	pthread_mutex_lock(&p->lock);
	if (at > p->stream) {
		p->stream = at;
		pthread_cond_broadcast(&p->moved);
	}
	pthread_mutex_unlock(&p->lock);
}

void populate_quit(struct populate *p)
{
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
	/* The kernel's lock on the address space is held while a piece is allocated: not for long.
	 */
	for (unsigned i = 0; i < p->threads; i++)
		populate_idle(p->thread[i], false);
}

uint64_t populate_free(struct populate *p, uint64_t *cpu_ns)
{
	uint64_t bytes;

	if (cpu_ns)
		*cpu_ns = 0;
	if (!p)
		return 0;
	populate_quit(p);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	bytes = p->bytes;
	if (cpu_ns)
		*cpu_ns = p->cpu_ns;
	pthread_cond_destroy(&p->moved);
	pthread_mutex_destroy(&p->lock);
	extents_fini(&p->extents);
	free(p);
	return bytes;
}
