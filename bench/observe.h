/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest seen from outside: its memory file, opened through the guest's process, and its report
 * page, mapped. The file stays readable after that process has ended, which is how the memory at
 * the source is compared after a move.
 * Must never touch guest memory other than the report page, and never make a hole into a page.
 * Next in the flow: verify.h, move.h.
 */
#ifndef WATARI_BENCH_OBSERVE_H
#define WATARI_BENCH_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/guest/report.h"
#include "hv/base/err.h"
#include "hv/mem/gmem.h"

/* A range of guest memory in the file. */
struct observe_region {
	uint64_t gpa, size, fd_offset; /* bytes */
};

struct observed {
	pid_t pid; /* the guest's process; its pidfd, so that no other process is taken for it */
	int pidfd;
	int fd; /* guest memory */
	uint32_t nregions;
	struct observe_region region[GMEM_REGIONS_MAX];
	struct bench_report *report;
	struct bench_header h; /* a checked copy, from observe_header() on */
};
#define OBSERVED_NONE ((struct observed){ .pidfd = -1, .fd = -1 })

/* The counters, summed over the vCPUs. */
struct observe_sample {
	uint64_t count_ns; /* this host's clock when they were read */
	uint64_t written;  /* pages */
	uint64_t filled;   /* likewise */
	uint64_t errors;   /* stamp errors */
};

/* Finds guest @name in runtime directory @dir. The caller detaches. */
int observe_attach(struct observed *o, const char *dir, const char *name, struct err *e);
/* As attach, but to memory file @fd (kept) with one region at 0 of @size bytes: for tests. */
int observe_attach_fd(struct observed *o, int fd, uint64_t size, struct err *e);
/*
 * As attach, to a memory file @fd (kept) that is known already, with its @n regions. @map false:
 * the report is left alone, for a file in which a page may not be made yet, until
 * observe_report().
 */
int observe_attach_file(struct observed *o, pid_t pid, int fd, const struct observe_region *r,
	uint32_t n, bool map, struct err *e);
int observe_report(struct observed *o, struct err *e);
void observe_detach(struct observed *o);

/* The guest's header into @o->h. 0; -EAGAIN: not published yet; -EPROTO: not our guest. */
int observe_header(struct observed *o, struct err *e);
/*
 * Allocates, in the memory file, the pages that the guest is about to fill: a system call allocates
 * ten times faster than a guest's faults do. Changes no byte.
 */
int observe_populate(const struct observed *o, struct err *e);
/* True if every vCPU that shares the work is in @state, and there is one. */
bool observe_all(const struct observed *o, enum bench_state state);

void observe_count(const struct observed *o, struct observe_sample *s);

/* Restarts every vCPU's longest gap. Before a move only: nobody tracks this write. */
uint64_t observe_gap_reset(const struct observed *o);
/* True once every vCPU has seen @generation. */
bool observe_gap_armed(const struct observed *o, uint64_t generation);
/*
 * The longest gap of any vCPU since the reset, ns by the guest's own clock; *@end_tsc (may be NULL)
 * is when it ended.
 */
uint64_t observe_gap_ns(const struct observed *o, uint64_t *end_tsc);
/*
 * The gap in which the guest left @from, whose final heartbeats are still there, and came to @to:
 * the longest of any vCPU, in ns. 0 if a vCPU has no note of it (any more).
 */
uint64_t observe_freeze_ns(const struct observed *from, const struct observed *to);
/* The same, from a copy of the report that was made at @to when the guest had just come there. */
uint64_t observe_freeze_in(const struct observed *from, struct bench_report *arrival);
/* @ticks of the guest's TSC in ns; 0 if its frequency is not known. */
uint64_t observe_ticks_ns(const struct observed *o, uint64_t ticks);
/* True once every vCPU has ticked in @o since @before was read. */
bool observe_ticked(const struct observed *o, const uint64_t *before);
/* Every vCPU's heartbeat into @beats, of BENCH_CPUS_MAX. */
void observe_beats(const struct observed *o, uint64_t *beats);

/* Where @gpa lies in the file; false if @len bytes from it are not RAM. */
bool observe_offset(const struct observed *o, uint64_t gpa, uint64_t len, uint64_t *off);
/* Guest-physical address of numbered page @page, which must be below what the areas hold. */
uint64_t observe_page_gpa(const struct bench_header *h, uint64_t page);

#endif
