/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The observer: a thread that looks at the guest's heartbeats from outside, some ten thousand times
 * a second by its own clock, at both ends of a move. It knows nothing of what guest or VMM say
 * about the move, and so checks them.
 * Must never make a page: it reads the memory files with pread(), for which a hole stays a hole
 * (a mapping would put zeros where a postcopy target still waits for the page).
 * Invariant: heartbeats only grow, and the end that shows more is the one that runs.
 * Next in the flow: trace.h.
 */
#ifndef WATARI_BENCH_WATCH_H
#define WATARI_BENCH_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/guest/report.h"
#include "bench/observe.h"
#include "bench/pin.h"
#include "hv/base/err.h"

#define WATCH_BUCKET_NS   10000000ull
#define WATCH_BUCKETS_MAX 65536u /* 11 minutes */

struct watch_bucket {
	uint64_t pages; /* rewritten so far, all vCPUs, at the end of the bucket */
	/* The freshest heartbeat of the first vCPU in it: the guest's clock, and this host's. */
	uint64_t tsc, mono_ns;
};

/* What was seen since the last watch_window(). */
struct watch_seen {
	uint64_t gap_ns;         /* the longest pause of any vCPU */
	uint64_t gap_error_ns;   /* ... give or take: the observer looks now and then */
	uint64_t moved_ns;       /* the pause in which the guest left one end and came to the other;
				    0: not seen */
	uint64_t moved_error_ns; /* likewise */
	uint64_t moved_at_ns;    /* when that pause began, CLOCK_MONOTONIC */
	uint64_t late_ns;        /* the longest time the observer itself did not look */
};

struct watch_cpu {
	uint64_t beat;           /* the highest heartbeat seen */
	uint64_t last, last_but; /* when it was first seen, and the look before that */
	int end;                 /* that showed it */
};

struct watch {
	pthread_t thread;
	bool started, realtime; /* realtime: no other thread could keep it from looking */
	int stop;               /* atomic */
	pthread_mutex_t lock;   /* for what follows */
	int fd[2];              /* the memory files, -1: not known yet */
	uint64_t off[2];        /* of the vCPUs' slots */
	unsigned cpus;
	uint64_t tsc_khz;
	struct watch_seen seen;
	/* the thread's own until it has stopped */
	uint64_t start_ns, looked_ns, looks;
	struct watch_cpu cpu[BENCH_CPUS_MAX];
	struct watch_bucket *bucket; /* of WATCH_BUCKETS_MAX, from start_ns on */
	uint32_t buckets;
	/*
	 * The guest's report as it was when every vCPU had just come to the target, before its
	 * notes of the pause can be overwritten; what had not arrived of it is zero.
	 */
	struct bench_report *arrival;
	bool arrived;
};

/*
 * Starts to watch the guest @o, whose header is known, from the processor @pin unless that is NULL.
 * watch_free() in any case.
 */
int watch_start(struct watch *w, const struct observed *o, const struct pin *pin, struct err *e);
/* The guest may appear at @o as well, of which only the file and its regions need be known. */
void watch_target(struct watch *w, const struct observed *o);
/* After a move, with both windows read: the target is the source of the next one. */
void watch_next(struct watch *w);
/* Returns what was seen and starts a new window. */
struct watch_seen watch_window(struct watch *w);
/* Ends the thread. The buckets stay until watch_free(). */
void watch_stop(struct watch *w);
void watch_free(struct watch *w);

/* One look at @now: pure but for @w, for the thread and for tests. */
void watch_look(
	struct watch *w, const struct bench_slot *src, const struct bench_slot *dst, uint64_t now);

/* A time of CLOCK_MONOTONIC, its end excluded. */
struct watch_span {
	uint64_t from, to;
};

/*
 * By how much the guest's clock fell behind this host's between @before and @after a move;
 * negative: it ran ahead. Its rate is taken from @rate, in which nothing moved nor stood still.
 * False if the observer has no fresh heartbeats there. Call it under the lock while the thread
 * runs.
 */
bool watch_lost(const struct watch *w, struct watch_span rate, struct watch_span before,
	struct watch_span after, int64_t *lost_ns);

#endif
