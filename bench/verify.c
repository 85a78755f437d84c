/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the comparison (see verify.h), extent by extent with SEEK_DATA and pread(): on a memory file
 * a pread() of a hole gives zeros and allocates nothing, a mapping would allocate.
 * Next in the flow: bench/report.c prints the verdict.
 */
#include "bench/verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/guest/page.h"

#define VERIFY_CHUNK (1ull << 20)
#define VERIFY_PARTS 8 /* at most, threads that compare */

bool verify_passed(const struct verify_result *v)
{
	return v->pages_differ == 0 && v->stamps_bad == 0 && v->stamp_errors == 0;
}

static bool verify_within(uint64_t gpa, uint64_t start, uint64_t len)
{
	return gpa >= start - start % BENCH_PAGE_SIZE && gpa < start + len;
}

/* True if the guest itself rewrites the page at @gpa all the time. */
static bool verify_volatile(const struct bench_header *h, uint64_t gpa)
{
	uint64_t first = 0;

	if (verify_within(gpa, BENCH_REPORT_GPA, sizeof(struct bench_report)) ||
		verify_within(gpa, h->stacks_gpa, h->stacks_size) ||
		verify_within(gpa, h->versions_gpa, h->workset_pages * sizeof(uint32_t)))
		return true;
	for (uint64_t i = 0; i < h->areas && first < h->workset_pages; i++) {
		uint64_t n = h->workset_pages - first;

		if (n > h->area[i].pages)
			n = h->area[i].pages;
		if (verify_within(gpa, h->area[i].gpa, n * BENCH_PAGE_SIZE))
			return true;
		first += h->area[i].pages;
	}
	return false;
}

static int verify_read(int fd, void *buf, uint64_t n, uint64_t off, struct err *e)
{
	uint8_t *p = buf;

	while (n) {
		ssize_t k = pread(fd, p, n, (off_t)off);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(e, "cannot read guest memory");
		if (k == 0)
			return err_set(e, -EIO, "guest memory ends early");
		p += k;
		n -= (uint64_t)k;
		off += (uint64_t)k;
	}
	return 0;
}

/* Where data goes on in @fd at or after @off, @end if nowhere before it. */
static uint64_t verify_next(int fd, uint64_t off, uint64_t end)
{
	off_t at = lseek(fd, (off_t)off, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? end : off; /* no SEEK_DATA: all of it is data */
	return (uint64_t)at < end ? (uint64_t)at : end;
}

static void verify_chunk(const struct bench_header *h, const uint8_t *a, const uint8_t *b,
	uint64_t n, uint64_t gpa, struct verify_result *v)
{
	v->pages_compared += n / BENCH_PAGE_SIZE;
	if (memcmp(a, b, n) == 0)
		return;
	for (uint64_t i = 0; i < n; i += BENCH_PAGE_SIZE) {
		if (memcmp(a + i, b + i, BENCH_PAGE_SIZE) == 0 || verify_volatile(h, gpa + i))
			continue;
		if (v->pages_differ++ == 0)
			v->first_differ = gpa + i;
	}
}

/* A share of every region, and a thread's own findings in it. */
struct verify_part {
	const struct observed *from, *to;
	unsigned part, parts;
	struct verify_result v;
	struct err e;
	int rc;
};

/* The part's share of region @i; @buf holds two chunks. */
static int verify_region(struct verify_part *p, uint32_t i, uint8_t *buf)
{
	const struct observe_region *a = &p->from->region[i], *b = &p->to->region[i];
	uint64_t share = (a->size / p->parts + VERIFY_CHUNK - 1) & ~(VERIFY_CHUNK - 1);
	uint64_t at = share * p->part, end = p->part + 1 < p->parts ? at + share : a->size, n;
	int rc = 0;

	end = end < a->size ? end : a->size;
	for (; at < end && rc == 0; at += n) {
		uint64_t da = verify_next(p->from->fd, a->fd_offset + at, a->fd_offset + end);
		uint64_t db = verify_next(p->to->fd, b->fd_offset + at, b->fd_offset + end);

		da -= a->fd_offset;
		db -= b->fd_offset;
		at = (da < db ? da : db) & ~(BENCH_PAGE_SIZE - 1);
		n = end - at < VERIFY_CHUNK ? end - at : VERIFY_CHUNK;
		if (n == 0)
			break;
		rc = verify_read(p->from->fd, buf, n, a->fd_offset + at, &p->e);
		if (rc == 0)
			rc = verify_read(
				p->to->fd, buf + VERIFY_CHUNK, n, b->fd_offset + at, &p->e);
		if (rc == 0)
			verify_chunk(&p->to->h, buf, buf + VERIFY_CHUNK, n, a->gpa + at, &p->v);
	}
	return rc;
}

static void *verify_part(void *arg)
{
	struct verify_part *p = arg;
	uint8_t *buf = malloc(2 * VERIFY_CHUNK);

	p->rc = buf ? 0 : err_set(&p->e, -ENOMEM, "no memory to compare the guest's");
	for (uint32_t i = 0; i < p->from->nregions && p->rc == 0; i++)
		p->rc = verify_region(p, i, buf);
	free(buf);
	return NULL;
}

static void verify_add(struct verify_result *to, const struct verify_result *v)
{
	if (v->pages_differ && (!to->pages_differ || v->first_differ < to->first_differ))
		to->first_differ = v->first_differ;
	to->pages_compared += v->pages_compared;
	to->pages_differ += v->pages_differ;
}

/*
 * The guest stands still at both ends, so the parts only read, and each writes to its own struct;
 * pthread_join() is the fence before they are added up. A thread that cannot be had is done
 * without.
 */
int verify_compare(const struct observed *from, const struct observed *to, struct verify_result *v,
	struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned parts = cpus < 1 ? 1 : cpus < VERIFY_PARTS ? (unsigned)cpus : VERIFY_PARTS;
	struct verify_part part[VERIFY_PARTS];
	bool beside[VERIFY_PARTS] = { 0 };
	pthread_t thread[VERIFY_PARTS];
	int rc = 0;

	if (from->nregions != to->nregions)
		return err_set(e, -EPROTO, "the guest has other memory at the target");
	for (uint32_t i = 0; i < from->nregions; i++)
		if (from->region[i].gpa != to->region[i].gpa ||
			from->region[i].size != to->region[i].size)
			return err_set(e, -EPROTO, "the guest has other memory at the target");
	for (unsigned i = 0; i < parts; i++)
		part[i] = (struct verify_part){ .from = from, .to = to, .part = i, .parts = parts };
	for (unsigned i = 1; i < parts; i++)
		beside[i] = pthread_create(&thread[i], NULL, verify_part, &part[i]) == 0;
	for (unsigned i = 0; i < parts; i++) {
		if (beside[i])
			pthread_join(thread[i], NULL);
		else
			verify_part(&part[i]);
		verify_add(v, &part[i].v);
		if (rc == 0 && part[i].rc < 0) {
			rc = part[i].rc;
			if (e)
				*e = part[i].e;
		}
	}
	return rc;
}

/* True if a vCPU was stopped in the middle of rewriting @page. */
static bool verify_in_flight(const struct observed *o, uint64_t page)
{
	for (uint64_t i = 0; i < BENCH_CPUS_MAX; i++)
		if (__atomic_load_n(&o->report->cpu[i].writing, __ATOMIC_RELAXED) == page + 1)
			return true;
	return false;
}

static int verify_page(const struct observed *o, uint64_t page, uint32_t version,
	struct verify_result *v, struct err *e)
{
	uint64_t w[BENCH_PAGE_WORDS], off = 0;
	int rc;

	if (verify_in_flight(o, page))
		return 0;
	if (!observe_offset(o, observe_page_gpa(&o->h, page), BENCH_PAGE_SIZE, &off))
		return err_set(e, -EPROTO, "the guest's report does not fit its memory");
	rc = verify_read(o->fd, w, sizeof(w), off, e);
	if (rc < 0)
		return rc;
	v->stamps_checked++;
	if (bench_stamp_ok(w, page, version) &&
		bench_body_ok(w, page, (enum bench_content)o->h.content))
		return 0;
	if (v->stamps_bad++ == 0)
		v->first_bad = page;
	return 0;
}

int verify_stamps(const struct observed *o, struct verify_result *v, struct err *e)
{
	uint64_t n = o->h.workset_pages, off = 0;
	uint32_t *versions = malloc(n ? n * sizeof(*versions) : 1);
	int rc = 0;

	if (!versions)
		return err_set(e, -ENOMEM, "no memory for the guest's version table");
	if (!observe_offset(o, o->h.versions_gpa, n * sizeof(*versions), &off))
		rc = err_set(e, -EPROTO, "the guest's report does not fit its memory");
	if (rc == 0)
		rc = verify_read(o->fd, versions, n * sizeof(*versions), off, e);
	for (uint64_t page = 0; page < n && rc == 0; page++)
		rc = verify_page(o, page, versions[page], v, e);
	for (uint64_t i = 0; i < BENCH_CPUS_MAX; i++)
		v->stamp_errors +=
			__atomic_load_n(&o->report->cpu[i].stamp_errors, __ATOMIC_RELAXED);
	free(versions);
	return rc;
}
