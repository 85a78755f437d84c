/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the view of a guest from outside (see observe.h). What the guest says about itself is
 * checked before it is used as an address or a length.
 * Next in the flow: bench/verify.c.
 */
#include "bench/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/guest/page.h"
#include "hv/base/clock.h"
#include "hv/ctl/client.h"

#define OBSERVE_CHUNK   (64ull << 20)
#define OBSERVE_NEAR_MS 1 /* between the last two heartbeats, if the latter is not published */

static uint64_t observe_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

bool observe_offset(const struct observed *o, uint64_t gpa, uint64_t len, uint64_t *off)
{
	for (uint32_t i = 0; i < o->nregions; i++) {
		const struct observe_region *r = &o->region[i];

		if (gpa < r->gpa || gpa - r->gpa > r->size || len > r->size - (gpa - r->gpa))
			continue;
		*off = r->fd_offset + (gpa - r->gpa);
		return true;
	}
	return false;
}

static int observe_map(struct observed *o, struct err *e)
{
	uint64_t off;
	void *p;

	if (!observe_offset(o, BENCH_REPORT_GPA, sizeof(*o->report), &off))
		return err_set(e, -EPROTO, "the guest has no memory where its report should be");
	p = mmap(NULL, sizeof(*o->report), PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, (off_t)off);
	if (p == MAP_FAILED)
		return err_errno(e, "cannot map the guest's report");
	o->report = p;
	return 0;
}

/* The regions of a "memory" answer; *@fd is the guest process's descriptor. */
static int observe_parse(struct observed *o, const json_t *answer, int *fd, struct err *e)
{
	const json_t *regions = json_object_get(answer, "regions"), *r;
	json_int_t pid = json_integer_value(json_object_get(answer, "pid"));
	size_t i;

	if (pid <= 0 || pid > INT32_MAX || json_array_size(regions) == 0 ||
		json_array_size(regions) > GMEM_REGIONS_MAX)
		return err_set(e, -EPROTO, "the guest does not say where its memory is");
	o->pid = (pid_t)pid;
	json_array_foreach(regions, i, r)
	{
		json_int_t gpa = -1, size = -1, offset = -1;
		int n = -1;

		if (json_unpack((json_t *)r, "{s:I,s:I,s:i,s:I}", "gpa", &gpa, "size", &size, "fd",
			    &n, "fd_offset", &offset) < 0 ||
			gpa < 0 || size <= 0 || offset < 0 || n < 0 || (i > 0 && n != *fd))
			return err_set(e, -EPROTO, "the guest's memory is not one file of regions");
		*fd = n;
		o->region[i] = (struct observe_region){
			.gpa = (uint64_t)gpa, .size = (uint64_t)size, .fd_offset = (uint64_t)offset
		};
	}
	o->nregions = (uint32_t)i;
	return 0;
}

int observe_attach(struct observed *o, const char *dir, const char *name, struct err *e)
{
	json_t *answer = NULL;
	char path[64];
	int fd = -1, rc;

	*o = OBSERVED_NONE;
	rc = ctl_ask(dir, name, "memory", &answer, e);
	if (rc == 0)
		rc = observe_parse(o, answer, &fd, e);
	json_decref(answer);
	if (rc < 0)
		return rc;
	o->pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);
	if (o->pidfd < 0)
		return err_errno(e, "cannot watch the guest's process %d", (int)o->pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)o->pid, fd);
	o->fd = open(path, O_RDWR | O_CLOEXEC);
	rc = o->fd < 0 ? err_errno(e, "cannot open the guest's memory %s", path)
		       : observe_map(o, e);
	if (rc < 0)
		observe_detach(o);
	return rc;
}

int observe_attach_fd(struct observed *o, int fd, uint64_t size, struct err *e)
{
	const struct observe_region all = { .gpa = 0, .size = size, .fd_offset = 0 };

	return observe_attach_file(o, 0, fd, &all, 1, true, e);
}

int observe_attach_file(struct observed *o, pid_t pid, int fd, const struct observe_region *r,
	uint32_t n, bool map, struct err *e)
{
	*o = OBSERVED_NONE;
	o->pid = pid;
	o->fd = fd;
	o->nregions = n;
	for (uint32_t i = 0; i < n; i++)
		o->region[i] = r[i];
	return map ? observe_map(o, e) : 0;
}

int observe_report(struct observed *o, struct err *e)
{
	return o->report ? 0 : observe_map(o, e);
}

void observe_detach(struct observed *o)
{
	if (o->report)
		munmap(o->report, sizeof(*o->report));
	if (o->fd >= 0)
		close(o->fd);
	if (o->pidfd >= 0)
		close(o->pidfd);
	*o = OBSERVED_NONE;
}

/* ---- the header ---- */

static bool observe_header_ok(const struct observed *o, const struct bench_header *h)
{
	uint64_t pages = 0, off;

	if (h->areas == 0 || h->areas > BENCH_AREAS_MAX || h->cpus_wanted == 0 ||
		h->cpus_wanted > BENCH_CPUS_MAX || h->cpus > h->cpus_wanted ||
		h->pattern > BENCH_SEQUENTIAL || h->content > BENCH_COMPRESSIBLE)
		return false;
	for (uint64_t i = 0; i < h->areas; i++) {
		const struct bench_area *a = &h->area[i];

		if (a->pages > GMEM_SIZE_MAX / BENCH_PAGE_SIZE || a->gpa % BENCH_PAGE_SIZE ||
			!observe_offset(o, a->gpa, a->pages * BENCH_PAGE_SIZE, &off))
			return false;
		pages += a->pages;
	}
	return h->fill_pages <= pages && h->workset_pages <= h->fill_pages &&
	       h->stacks_size <= BENCH_CPUS_MAX * (1ull << 20) &&
	       observe_offset(o, h->stacks_gpa, h->stacks_size, &off) &&
	       observe_offset(o, h->versions_gpa, h->workset_pages * sizeof(uint32_t), &off);
}

int observe_header(struct observed *o, struct err *e)
{
	struct bench_header *h = &o->report->h;

	if (observe_load(&h->magic) != BENCH_MAGIC)
		return err_set(e, -EAGAIN, "the guest has not published its report");
	memcpy(&o->h, h, sizeof(o->h));
	if (o->h.layout != BENCH_LAYOUT)
		return err_set(e, -EPROTO, "the guest's report has layout %llu, not %llu",
			(unsigned long long)o->h.layout, BENCH_LAYOUT);
	if (!observe_header_ok(o, &o->h))
		return err_set(e, -EPROTO, "the guest's report does not fit its memory");
	return 0;
}

uint64_t observe_page_gpa(const struct bench_header *h, uint64_t page)
{
	const struct bench_area *a = h->area;

	for (; page >= a->pages; a++)
		page -= a->pages;
	return a->gpa + page * BENCH_PAGE_SIZE;
}

int observe_populate(const struct observed *o, struct err *e)
{
	uint64_t left = o->h.fill_pages * BENCH_PAGE_SIZE, off, n;

	for (uint64_t i = 0; i < o->h.areas && left; i++) {
		uint64_t len = o->h.area[i].pages * BENCH_PAGE_SIZE;

		if (len > left)
			len = left;
		left -= len;
		if (!observe_offset(o, o->h.area[i].gpa, len, &off))
			return err_set(e, -EPROTO, "the guest's report does not fit its memory");
		for (; len; len -= n, off += n) {
			n = len < OBSERVE_CHUNK ? len : OBSERVE_CHUNK;
			if (fallocate(o->fd, 0, (off_t)off, (off_t)n) < 0 && errno != EINTR)
				return err_errno(e, "cannot allocate the guest's memory");
		}
	}
	return 0;
}

/* ---- the vCPUs ---- */

/* How many vCPUs share the work, never more than there are slots. */
static uint64_t observe_cpus(const struct observed *o)
{
	uint64_t n = observe_load(&o->report->h.cpus);

	return n < BENCH_CPUS_MAX ? n : BENCH_CPUS_MAX;
}

bool observe_all(const struct observed *o, enum bench_state state)
{
	uint64_t n = observe_cpus(o);

	for (uint64_t i = 0; i < n; i++)
		if (observe_load(&o->report->cpu[i].state) != state)
			return false;
	return n > 0;
}

void observe_count(const struct observed *o, struct observe_sample *s)
{
	uint64_t n = observe_cpus(o);

	*s = (struct observe_sample){ 0 };
	s->count_ns = clock_mono_ns();
	for (uint64_t i = 0; i < n; i++) {
		s->written += observe_load(&o->report->cpu[i].pages_written);
		s->filled += observe_load(&o->report->cpu[i].pages_filled);
		s->errors += observe_load(&o->report->cpu[i].stamp_errors);
	}
}

uint64_t observe_gap_reset(const struct observed *o)
{
	return __atomic_add_fetch(&o->report->h.gap_reset, 1, __ATOMIC_ACQ_REL);
}

bool observe_gap_armed(const struct observed *o, uint64_t generation)
{
	uint64_t n = observe_cpus(o);

	for (uint64_t i = 0; i < n; i++)
		if (observe_load(&o->report->cpu[i].gap_generation) != generation)
			return false;
	return true;
}

uint64_t observe_ticks_ns(const struct observed *o, uint64_t ticks)
{
	if (o->h.tsc_khz == 0)
		return 0;
	return (uint64_t)((unsigned __int128)ticks * 1000000 / o->h.tsc_khz);
}

uint64_t observe_gap_ns(const struct observed *o, uint64_t *end_tsc)
{
	uint64_t n = observe_cpus(o), longest = 0;

	if (end_tsc)
		*end_tsc = 0;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t gap = observe_load(&o->report->cpu[i].longest_gap);

		if (gap <= longest)
			continue;
		longest = gap;
		if (end_tsc)
			*end_tsc = observe_load(&o->report->cpu[i].gap_end_tsc);
	}
	return observe_ticks_ns(o, longest);
}

/* Of the noted gaps of vCPU @cpu that end after @from the first; false if there is none. */
static bool observe_gap_after(
	const struct observed *o, uint64_t cpu, uint64_t from, uint64_t *start, uint64_t *end)
{
	bool any = false;

	for (size_t k = 0; k < BENCH_GAPS; k++) {
		const struct bench_gap *g = &o->report->gap[cpu][k];
		uint64_t a = observe_load(&g->start_tsc), b = observe_load(&g->end_tsc);

		if (b <= from || b <= a || (any && a >= *start))
			continue;
		*start = a;
		*end = b;
		any = true;
	}
	return any;
}

/*
 * The gap in which vCPU @cpu, whose last published heartbeat at the source was at @left, was
 * stopped, in ticks; 0 if it is not noted. The store that publishes a heartbeat often traps, and
 * that is where a vCPU is stopped: then the heartbeat is published at the target only, and the gap
 * that holds the freeze begins with it. Until then may lie another gap, which ends where that one
 * begins.
 */
static uint64_t observe_gap_at(const struct observed *o, uint64_t cpu, uint64_t left)
{
	uint64_t start = 0, end = 0, start2 = 0, end2 = 0;

	if (!observe_gap_after(o, cpu, left, &start, &end) ||
		(start > left && start - left > o->h.tsc_khz * OBSERVE_NEAR_MS))
		return 0;
	if (observe_gap_after(o, cpu, end, &start2, &end2) && start2 == end &&
		end2 - start2 > end - start)
		return end2 - start2;
	return end - start;
}

uint64_t observe_freeze_ns(const struct observed *from, const struct observed *to)
{
	uint64_t n = observe_cpus(to), longest = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t gap = observe_gap_at(to, i, observe_load(&from->report->cpu[i].tsc));

		if (gap == 0)
			return 0;
		if (gap > longest)
			longest = gap;
	}
	return observe_ticks_ns(to, longest);
}

uint64_t observe_freeze_in(const struct observed *from, struct bench_report *arrival)
{
	struct observed to = { .report = arrival, .h = from->h };

	arrival->h = from->report->h; /* of what the guest never changes, some may not be there */
	return observe_freeze_ns(from, &to);
}

void observe_beats(const struct observed *o, uint64_t *beats)
{
	for (uint64_t i = 0; i < BENCH_CPUS_MAX; i++)
		beats[i] = observe_load(&o->report->cpu[i].heartbeat);
}

bool observe_ticked(const struct observed *o, const uint64_t *before)
{
	uint64_t n = observe_cpus(o);

	for (uint64_t i = 0; i < n; i++)
		if (observe_load(&o->report->cpu[i].heartbeat) == before[i])
			return false;
	return true;
}
