/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One case of a measurement: the guest, its load, what a move is asked for. Text in, text out;
 * starts nothing.
 * Next in the flow: plan.h.
 */
#ifndef WATARI_BENCH_CONFIG_H
#define WATARI_BENCH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/guest/report.h"
#include "hv/base/err.h"
#include "hv/migrate/move.h"

#define BENCH_FILL_ALL UINT64_MAX
#define BENCH_RUNS_MAX 100000

struct bench_config {
	uint64_t memory;            /* bytes of guest memory */
	uint64_t workset;           /* bytes, a multiple of 4 KiB */
	uint64_t fill;              /* bytes written at start, or BENCH_FILL_ALL */
	uint64_t rate;              /* pages per second over all vCPUs, 0: flat out */
	uint64_t downtime_limit_ns; /* what the source is asked for */
	unsigned vcpus;             /* 1 .. BENCH_CPUS_MAX */
	unsigned streams;           /* data connections of a move */
	enum mig_on_stall on_stall; /* what to do about a guest that dirties too fast */
	bool thp;                   /* of transparent huge pages, either system's guest */
	uint64_t test_stall_ns;     /* watari stands still so long while the guest is frozen */
	enum bench_pattern pattern;
	enum bench_content content;
};

void bench_config_default(struct bench_config *c);

/* Sets the field that option --@name stands for from @value. -EINVAL names option and value. */
int bench_config_set(struct bench_config *c, const char *name, const char *value, struct err *e);
/* What only the whole can tell: the working set fits the memory, and so on. -EINVAL. */
int bench_config_check(const struct bench_config *c, struct err *e);

/* "2.00 GiB, 64.0 MiB flat out, limit 10.00 ms", what differs from the default included; @buf. */
const char *bench_config_title(const struct bench_config *c, char *buf, size_t n);
/* The guest's command line into @buf of @n bytes; returns @buf. */
const char *bench_config_append(const struct bench_config *c, char *buf, size_t n);

/* Bytes that the guest has written when it has started. */
static inline uint64_t bench_config_filled(const struct bench_config *c)
{
	return c->fill < c->memory ? c->fill : c->memory;
}

const char *bench_pattern_name(enum bench_pattern p);
const char *bench_content_name(enum bench_content c);

#endif
