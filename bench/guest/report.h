/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bench guest publishes in its own memory, for the guest that writes it and the host that
 * maps it. Every field is a naturally aligned 64-bit little-endian word, so one load or store is
 * whole on both sides. Nothing here is ever sent anywhere.
 * Invariant: the guest writes everything but gap_reset; the host writes nothing but gap_reset, and
 * that only once magic is there. magic is the guest's last store of the header.
 * Next in the flow: bench/guest/page.h, the contents of a page.
 */
#ifndef WATARI_BENCH_GUEST_REPORT_H
#define WATARI_BENCH_GUEST_REPORT_H

#include <stdint.h>

#define BENCH_REPORT_GPA  0x100000ull           /* guest-physical address of struct bench_report */
#define BENCH_MAGIC       0x54534555472d5457ull /* "WT-GUEST" */
#define BENCH_LAYOUT      2ull
#define BENCH_CPUS_MAX    64
#define BENCH_AREAS_MAX   8
#define BENCH_CMDLINE_MAX 2048 /* bytes the guest reads of its command line, NUL included */

enum bench_state {
	BENCH_STATE_ABSENT,  /* no such vCPU, or not started yet */
	BENCH_STATE_WAITING, /* in ring 3, waiting for the others */
	BENCH_STATE_FILLING,
	BENCH_STATE_RUNNING,
	BENCH_STATE_PARKED, /* came too late or was not asked for: ticks, writes no pages */
};

enum bench_pattern { BENCH_UNIFORM, BENCH_HOT, BENCH_SEQUENTIAL };
enum bench_content { BENCH_RANDOM, BENCH_ZERO, BENCH_COMPRESSIBLE };

/* The pages the guest uses, numbered from 0 through the areas in their order. */
struct bench_area {
	uint64_t gpa;
	uint64_t pages;
};

struct bench_header {
	uint64_t magic;
	uint64_t layout;
	uint64_t tsc_khz;       /* 0: the guest could not find out (and paces as if 2 GHz) */
	uint64_t cpus_wanted;   /* of the command line */
	uint64_t cpus;          /* that share the work; 0 until decided */
	uint64_t workset_pages; /* pages 0 .. workset_pages-1 are rewritten for ever */
	uint64_t fill_pages;    /* pages below it are written once; the rest is never touched */
	uint64_t rate;          /* pages per second over all vCPUs; 0: flat out */
	uint64_t pattern;
	uint64_t content;
	uint64_t versions_gpa; /* uint32_t per page of the working set: the version last written */
	uint64_t stacks_gpa;   /* the vCPUs' stacks */
	uint64_t stacks_size;  /* bytes */
	uint64_t areas;
	struct bench_area area[BENCH_AREAS_MAX];
	uint64_t reserved[474];
	/* The host's word, on a cache line of its own: another value restarts every longest_gap. */
	uint64_t gap_reset;
	uint64_t reserved2[7];
};

/* One vCPU. */
struct bench_slot {
	uint64_t heartbeat;      /* ticks, at least one every few us while the vCPU runs */
	uint64_t tsc;            /* at the last tick */
	uint64_t longest_gap;    /* TSC ticks between two heartbeats, since the last gap_reset */
	uint64_t gap_end_tsc;    /* at the heartbeat that ended it */
	uint64_t gap_generation; /* the gap_reset this vCPU has seen */
	uint64_t pages_written;  /* in the working set, after the fill */
	uint64_t pages_filled;
	uint64_t stamp_errors;
	uint64_t error_page; /* page number of the last stamp error */
	uint64_t state;      /* enum bench_state */
	uint64_t writing;    /* 1 + number of the page being rewritten, 0 between pages */
	uint64_t reserved[5];
};

/*
 * Every gap of BENCH_GAP_NOTE_US or more, the n-th of a vCPU in entry n % BENCH_GAPS. The gap that
 * holds a freeze is the one that starts at the tsc which the vCPU's slot shows at the source.
 */
#define BENCH_GAPS        960 /* on a crowded machine a few seconds of them */
#define BENCH_GAP_NOTE_US 100

struct bench_gap {
	uint64_t start_tsc; /* the heartbeat before */
	uint64_t end_tsc;   /* and after; written first */
};

struct bench_report {
	struct bench_header h;
	struct bench_slot cpu[BENCH_CPUS_MAX];
	struct bench_gap gap[BENCH_CPUS_MAX][BENCH_GAPS]; /* not cleared at start */
};

_Static_assert(sizeof(struct bench_header) == 4096, "header is one page");
_Static_assert(sizeof(struct bench_slot) == 128, "a slot is two cache lines");
_Static_assert(
	sizeof(struct bench_report) == 243 * 4096, "the report ends below the guest's image");

#endif
