/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the comparison (see verify.h), extent by extent with SEEK_DATA and pread(): on a memory file
 * a pread() of a hole gives zeros and allocates nothing, a mapping would allocate.
 * Next in the flow: bench/report.c prints the verdict.
 */
#include "bench/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/guest/page.h"

#define VERIFY_CHUNK (1ull << 20)

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

/* One region; @buf holds two chunks. */
static int verify_region(const struct observed *from, const struct observed *to, uint32_t i,
	uint8_t *buf, struct verify_result *v, struct err *e)
{
	const struct observe_region *a = &from->region[i], *b = &to->region[i];
	uint64_t at = 0, n;
	int rc = 0;

	for (; at < a->size && rc == 0; at += n) {
		uint64_t da = verify_next(from->fd, a->fd_offset + at, a->fd_offset + a->size);
		uint64_t db = verify_next(to->fd, b->fd_offset + at, b->fd_offset + b->size);

		da -= a->fd_offset;
		db -= b->fd_offset;
		at = (da < db ? da : db) & ~(BENCH_PAGE_SIZE - 1);
		n = a->size - at < VERIFY_CHUNK ? a->size - at : VERIFY_CHUNK;
		if (n == 0)
			break;
		rc = verify_read(from->fd, buf, n, a->fd_offset + at, e);
		if (rc == 0)
			rc = verify_read(to->fd, buf + VERIFY_CHUNK, n, b->fd_offset + at, e);
		if (rc == 0)
			verify_chunk(&to->h, buf, buf + VERIFY_CHUNK, n, a->gpa + at, v);
	}
	return rc;
}

int verify_compare(const struct observed *from, const struct observed *to, struct verify_result *v,
	struct err *e)
{
	uint8_t *buf;
	int rc = 0;

	if (from->nregions != to->nregions)
		return err_set(e, -EPROTO, "the guest has other memory at the target");
	for (uint32_t i = 0; i < from->nregions; i++)
		if (from->region[i].gpa != to->region[i].gpa ||
			from->region[i].size != to->region[i].size)
			return err_set(e, -EPROTO, "the guest has other memory at the target");
	buf = malloc(2 * VERIFY_CHUNK);
	if (!buf)
		return err_set(e, -ENOMEM, "no memory to compare the guest's");
	for (uint32_t i = 0; i < from->nregions && rc == 0; i++)
		rc = verify_region(from, to, i, buf, v, e);
	free(buf);
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
