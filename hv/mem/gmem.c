/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the file of guest RAM, a memfd as a rule (backing.h), and its mapping (see gmem.h). Must
 * never touch a page nobody asked for: holes are what makes a large, mostly idle guest cheap to
 * move. Next in the flow: dirty.c.
 */
#include "hv/mem/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/base/bitmap.h"
#include "hv/base/scan.h"
#include "hv/base/size.h"

#define GMEM_ALIGN (2ull << 20) /* a huge page: host mappings start on one */

/* Reserved huge pages are looked for in pieces of this much; a byte of a buffer for 4 KiB. */
#define GMEM_RESIDENT_STEP (64ull << 20)

/* Of guest memory allocated at the start in one call: interrupts get their turn in between. */
#define GMEM_PREALLOC_STEP (1ull << 30)

static int gmem_host_available(uint64_t *bytes, struct err *e)
{
	char line[128];
	uint64_t kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return err_errno(e, "cannot read /proc/meminfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) == 1)
			break;
	}
	fclose(f);
	*bytes = kib << 10;
	return 0;
}

int gmem_check_size(uint64_t size, bool overcommit, struct err *e)
{
	char want[32], have[32];
	uint64_t avail = 0;
	int r;

	if (size < GMEM_SIZE_MIN || size > GMEM_SIZE_MAX)
		return err_set(e, -EINVAL,
			"guest memory of %s is out of range: it must be 64 MiB to 16 TiB",
			size_format(size, want, sizeof(want)));
	if (size % GMEM_PAGE_SIZE)
		return err_set(e, -EINVAL,
			"guest memory of %" PRIu64 " bytes is not a multiple of 4 KiB", size);
	r = overcommit ? 0 : gmem_host_available(&avail, e);
	if (r || overcommit)
		return r;
	if (size > avail)
		return err_set(e, -ENOMEM,
			"guest memory of %s does not fit: this host has %s available; use a smaller "
			"--memory, free some, or accept the risk with --overcommit",
			size_format(size, want, sizeof(want)),
			size_format(avail, have, sizeof(have)));
	return 0;
}

static int gmem_add_region(struct gmem *m, uint8_t *host, uint64_t gpa, uint64_t off, uint64_t size)
{
	struct gmem_region *r = &m->regions[m->nregions];

	*r = (struct gmem_region){
		.id = m->nregions,
		.gpa = gpa,
		.size = size,
		.host = host + off,
		.fd_offset = off,
		.written = bitmap_new(size >> GMEM_PAGE_SHIFT),
	};
	if (!r->written)
		return -ENOMEM;
	m->nregions++;
	return 0;
}

/*
 * Maps @m->size bytes of the memfd at a huge page's boundary: an address space is reserved with
 * room to align, the file mapped over its middle, the rest given back.
 */
static uint8_t *gmem_map(const struct gmem *m)
{
	uint64_t align = m->backing.page > GMEM_ALIGN ? m->backing.page : GMEM_ALIGN;
	uint64_t span = m->size + align;
	/* Reserved pages are promised here, or a touch would be a SIGBUS when they run out. */
	int flags = MAP_SHARED | MAP_FIXED | (m->backing.page ? 0 : MAP_NORESERVE);
	uint8_t *p, *at;
	size_t tail;

	p = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	at = (uint8_t *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
	if (mmap(at, m->size, PROT_READ | PROT_WRITE, flags, m->fd, 0) == MAP_FAILED) {
		munmap(p, span);
		return NULL;
	}
	if (at > p)
		munmap(p, (size_t)(at - p));
	tail = (size_t)(p + span - (at + m->size));
	if (tail)
		munmap(at + m->size, tail);
	return at;
}

/* What the mapping at @host is to be made of; before anything touches it. */
static int gmem_apply(const struct gmem *m, uint8_t *host, struct err *e)
{
	int r = backing_bind(&m->backing, host, m->size, e);

	if (!r && m->backing.thp && madvise(host, m->size, MADV_HUGEPAGE))
		r = err_errno(e, "cannot ask for transparent huge pages");
	return r;
}

static int gmem_prealloc(const struct gmem *m, struct err *e)
{
	for (uint32_t i = 0; m->backing.prealloc && i < m->nregions; i++) {
		const struct gmem_region *r = &m->regions[i];

		for (uint64_t at = 0; at < r->size; at += GMEM_PREALLOC_STEP) {
			uint64_t left = r->size - at;
			int rc = gmem_populate(
				m, r, at, left < GMEM_PREALLOC_STEP ? left : GMEM_PREALLOC_STEP);

			if (rc)
				return err_set(e, rc, "cannot allocate guest memory ahead: %s",
					strerrordesc_np(-rc));
		}
	}
	return 0;
}

int gmem_init(struct gmem *m, uint64_t size, struct err *e)
{
	return gmem_init_backed(m, size, &(struct backing){ 0 }, e);
}

int gmem_init_backed(struct gmem *m, uint64_t size, const struct backing *b, struct err *e)
{
	uint64_t low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;
	uint8_t *host;

	memset(m, 0, sizeof(*m));
	pthread_mutex_init(&m->give_lock, NULL);
	m->size = size;
	m->backing = *b;
	m->fd = backing_file(b, "watari-ram", e);
	if (m->fd < 0)
		return m->fd;
	if (ftruncate(m->fd, (off_t)size) < 0) {
		err_errno(e, "cannot size guest memory");
		goto out;
	}
	host = gmem_map(m);
	if (!host) {
		err_errno(e, "cannot map guest memory");
		goto out;
	}
	/* A dump of a crashed VMM is for finding our bugs, not for storing the guest's secrets. */
	madvise(host, size, MADV_DONTDUMP);
	/* Region 0 exists from here on, so that gmem_fini() can unmap. */
	if (gmem_add_region(m, host, 0, 0, low) ||
		(size > low && gmem_add_region(m, host, GMEM_HOLE_END, low, size - low))) {
		err_set(e, -ENOMEM, "no memory for the map of guest pages");
		if (m->nregions == 0)
			munmap(host, size);
		goto out;
	}
	if (gmem_apply(m, host, e) == 0 && gmem_prealloc(m, e) == 0)
		return 0;
out:
	gmem_fini(m);
	return e ? e->code : -EIO;
}

void gmem_fini(struct gmem *m)
{
	if (m->nregions)
		munmap(m->regions[0].host, m->size);
	for (uint32_t i = 0; i < m->nregions; i++)
		free(m->regions[i].written);
	if (m->size && m->fd >= 0)
		close(m->fd);
	pthread_mutex_destroy(&m->give_lock);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

const struct gmem_region *gmem_find(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	for (uint32_t i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa <= r->size && len <= r->size - (gpa - r->gpa))
			return r;
	}
	return NULL;
}

uint8_t *gmem_view(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_find(m, gpa, len);

	return r ? r->host + (gpa - r->gpa) : NULL;
}

void gmem_mark(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_find(m, gpa, len);
	uint64_t first, last;

	if (!r || len == 0)
		return;
	first = (gpa - r->gpa) >> GMEM_PAGE_SHIFT;
	last = (gpa - r->gpa + len - 1) >> GMEM_PAGE_SHIFT;
	for (uint64_t p = first; p <= last; p++)
		bitmap_set_atomic(r->written, p);
}

bool gmem_read(const struct gmem *m, uint64_t gpa, void *dst, size_t len)
{
	const uint8_t *p = gmem_view(m, gpa, len);

	if (!p) {
		memset(dst, 0, len);
		return false;
	}
	memcpy(dst, p, len);
	return true;
}

bool gmem_write(const struct gmem *m, uint64_t gpa, const void *src, size_t len)
{
	uint8_t *p = gmem_view(m, gpa, len);

	if (!p)
		return false;
	memcpy(p, src, len);
	gmem_mark(m, gpa, len);
	return true;
}

/*
 * hugetlbfs has no SEEK_DATA. What was touched is mapped in this process, by its own hand or by
 * KVM's, and stays mapped until it is given back, so residency is the same question. The first
 * huge page at or after @at whose residency is @want, or the region's size.
 */
static uint64_t gmem_seek_resident(
	const struct gmem *m, const struct gmem_region *r, uint64_t at, bool want)
{
	unsigned char seen[GMEM_RESIDENT_STEP / GMEM_PAGE_SIZE];
	uint64_t page = m->backing.page;

	at -= at % page;
	if (page >= GMEM_RESIDENT_STEP) { /* one page of a huge page speaks for it */
		for (; at < r->size; at += page)
			if (mincore(r->host + at, GMEM_PAGE_SIZE, seen) == 0 &&
				(seen[0] & 1) == want)
				return at;
		return r->size;
	}
	while (at < r->size) {
		uint64_t len =
			r->size - at < GMEM_RESIDENT_STEP ? r->size - at : GMEM_RESIDENT_STEP;

		if (mincore(r->host + at, len, seen))
			return want ? at : r->size; /* unknown counts as allocated */
		for (uint64_t i = 0; i < len; i += page)
			if ((seen[i >> GMEM_PAGE_SHIFT] & 1) == want)
				return at + i;
		at += len;
	}
	return r->size;
}

static int gmem_next_resident(const struct gmem *m, const struct gmem_region *r, uint64_t from,
	uint64_t *start, uint64_t *end)
{
	uint64_t at = gmem_seek_resident(m, r, from, true);

	if (at >= r->size)
		return 0;
	*start = at > from ? at : from;
	*end = gmem_seek_resident(m, r, at, false);
	return 1;
}

int gmem_next_data(const struct gmem *m, const struct gmem_region *r, uint64_t from,
	uint64_t *start, uint64_t *end, struct err *e)
{
	off_t limit = (off_t)(r->fd_offset + r->size);
	off_t a, b;

	if (from >= r->size)
		return 0;
	if (m->backing.page)
		return gmem_next_resident(m, r, from, start, end);
	a = lseek(m->fd, (off_t)(r->fd_offset + from), SEEK_DATA);
	if (a < 0 && errno == ENXIO)
		return 0;
	if (a < 0)
		return err_errno(e, "cannot find the allocated parts of guest memory");
	if (a >= limit)
		return 0;
	b = lseek(m->fd, a, SEEK_HOLE);
	if (b < 0)
		return err_errno(e, "cannot find the holes of guest memory");
	*start = (uint64_t)a - r->fd_offset;
	*end = (uint64_t)(b < limit ? b : limit) - r->fd_offset;
	return 1;
}

/* Linux 5.14; newer than some C libraries. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int gmem_populate(const struct gmem *m, const struct gmem_region *r, uint64_t off, uint64_t len)
{
	(void)m;
	return madvise(r->host + off, len, MADV_POPULATE_WRITE) ? -errno : 0;
}

int gmem_discard(const struct gmem *m, const struct gmem_region *r, uint64_t off, uint64_t len,
	struct err *e)
{
	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		    (off_t)(r->fd_offset + off), (off_t)len) < 0)
		return err_errno(e, "cannot give guest memory back to the host");
	return 0;
}

bool gmem_give_back(struct gmem *m, uint64_t gpa, uint64_t len)
{
	uint64_t page = m->backing.page ? m->backing.page : GMEM_PAGE_SIZE;
	const struct gmem_region *r = gmem_find(m, gpa, len);
	uint64_t first, last;
	bool kept;

	if (!r)
		return false;
	first = (gpa - r->gpa + page - 1) / page * page;
	last = (gpa - r->gpa + len) / page * page;
	pthread_mutex_lock(&m->give_lock);
	kept = m->kept;
	/* A page that cannot be given back stays the guest's: nothing is lost but the room. */
	if (!kept && first < last && gmem_discard(m, r, first, last - first, NULL) == 0)
		gmem_mark(m, r->gpa + first, last - first);
	pthread_mutex_unlock(&m->give_lock);
	return !kept;
}

void gmem_keep(struct gmem *m, bool keep)
{
	pthread_mutex_lock(&m->give_lock);
	m->kept += keep ? 1u : -1u;
	pthread_mutex_unlock(&m->give_lock);
}

bool gmem_kept(struct gmem *m)
{
	bool kept;

	pthread_mutex_lock(&m->give_lock);
	kept = m->kept;
	pthread_mutex_unlock(&m->give_lock);
	return kept;
}

int gmem_discard_all(const struct gmem *m, struct err *e)
{
	for (uint32_t i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->regions[i];
		uint64_t from = 0, start, end;
		int rc;

		/* Only what was allocated changes, so only that is marked as written. */
		while ((rc = gmem_next_data(m, r, from, &start, &end, e)) > 0) {
			rc = gmem_discard(m, r, start, end - start, e);
			if (rc)
				return rc;
			gmem_mark(m, r->gpa + start, end - start);
			from = end;
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool gmem_page_is_zero(const void *page)
{
	return scan_differs(page, GMEM_PAGE_SIZE / 8, 0) == GMEM_PAGE_SIZE / 8;
}
