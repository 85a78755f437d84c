/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is every page of a bench guest, paused, what it must be? A page of the working set carries the
 * version that the guest says it wrote last, whole; any other page it filled holds the body that
 * follows from its number, every word of it. So the memory of one guest is checked without the
 * memory it came from, on whatever host.
 * Must never change guest memory: it reads the guest's memory file.
 * Invariant: silence is not success: it prints how many pages it looked at.
 * Next in the flow: tests/lab/inside.sh calls it, bench/guest/page.h says what a page holds.
 *
 *   bench-check FILE GPA SIZE OFFSET [GPA SIZE OFFSET]...       numbers in decimal
 *   -> pages N wrong N first PAGE stamp_errors N written N
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/guest/page.h"
#include "bench/guest/report.h"

#define REGIONS_MAX 4

struct memory {
	int fd, n;
	struct {
		uint64_t gpa, size, offset;
	} region[REGIONS_MAX];
};

static void memory_read(const struct memory *m, uint64_t gpa, void *buf, size_t size)
{
	for (int i = 0; i < m->n; i++) {
		uint64_t at = gpa - m->region[i].gpa;

		if (gpa < m->region[i].gpa || at > m->region[i].size ||
			size > m->region[i].size - at)
			continue;
		if (pread(m->fd, buf, size, (off_t)(m->region[i].offset + at)) != (ssize_t)size)
			break;
		return;
	}
	fprintf(stderr, "bench-check: no memory at %#llx\n", (unsigned long long)gpa);
	exit(2);
}

static uint64_t page_gpa(const struct bench_header *h, uint64_t page)
{
	uint64_t i = 0;

	for (; i + 1 < h->areas && page >= h->area[i].pages; i++)
		page -= h->area[i].pages;
	return h->area[i].gpa + page * BENCH_PAGE_SIZE;
}

static int page_ok(const struct bench_report *r, const uint64_t *w, uint64_t page, uint32_t version)
{
	uint64_t seed = bench_body_seed(page);
	unsigned i = 0;

	if (page < r->h.workset_pages)
		return bench_stamp_ok(w, page, version) && bench_body_ok(w, page, r->h.content);
	while (i < BENCH_PAGE_WORDS && w[i] == bench_body_word(seed, i, r->h.content))
		i++;
	return i == BENCH_PAGE_WORDS;
}

/* True if a vCPU was stopped in the middle of rewriting @page. */
static int page_open(const struct bench_report *r, uint64_t page)
{
	for (int i = 0; i < BENCH_CPUS_MAX; i++)
		if (r->cpu[i].writing == page + 1)
			return 1;
	return 0;
}

static int check(const struct memory *m, const struct bench_report *r)
{
	uint64_t wrong = 0, first = 0, errors = 0, written = 0, w[BENCH_PAGE_WORDS];

	for (uint64_t page = 0; page < r->h.fill_pages; page++) {
		uint32_t version = 0;

		if (page < r->h.workset_pages)
			memory_read(m, r->h.versions_gpa + page * sizeof(version), &version,
				sizeof(version));
		memory_read(m, page_gpa(&r->h, page), w, sizeof(w));
		if (!page_open(r, page) && !page_ok(r, w, page, version) && wrong++ == 0)
			first = page;
	}
	for (int i = 0; i < BENCH_CPUS_MAX; i++) {
		errors += r->cpu[i].stamp_errors;
		written += r->cpu[i].pages_written;
	}
	printf("pages %llu wrong %llu first %llu stamp_errors %llu written %llu\n",
		(unsigned long long)r->h.fill_pages, (unsigned long long)wrong,
		(unsigned long long)first, (unsigned long long)errors, (unsigned long long)written);
	return r->h.fill_pages == 0 || wrong || errors;
}

int main(int argc, char **argv)
{
	static struct bench_report report;
	struct memory m = { .n = (argc - 2) / 3 };

	if (m.n < 1 || m.n > REGIONS_MAX || (argc - 2) % 3 ||
		(m.fd = open(argv[1], O_RDONLY)) < 0) {
		fprintf(stderr, "usage: bench-check FILE GPA SIZE OFFSET...\n");
		return 2;
	}
	for (int i = 0; i < m.n; i++) {
		m.region[i].gpa = strtoull(argv[3 * i + 2], NULL, 10);
		m.region[i].size = strtoull(argv[3 * i + 3], NULL, 10);
		m.region[i].offset = strtoull(argv[3 * i + 4], NULL, 10);
	}
	memory_read(&m, BENCH_REPORT_GPA, &report, sizeof(report));
	if (report.h.magic != BENCH_MAGIC || report.h.layout != BENCH_LAYOUT ||
		report.h.areas < 1 || report.h.areas > BENCH_AREAS_MAX) {
		fprintf(stderr, "bench-check: no bench guest\n");
		return 2;
	}
	return check(&m, &report);
}
