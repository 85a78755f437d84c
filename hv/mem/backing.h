/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest memory is made of on the host: ordinary pages, transparent huge pages, or reserved
 * ones; on which NUMA nodes; allocated at once or when touched. Owns its text form and the question
 * whether this host has it.
 * Invariant: what backing_check() lets through can be asked of the kernel; what the host lacks is
 * named together with what would give it.
 * Next in the flow: gmem.c.
 */
#ifndef WATARI_MEM_BACKING_H
#define WATARI_MEM_BACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

#define BACKING_NODES_MAX 64
#define BACKING_TEXT_MAX  256

struct backing {
	uint64_t page;  /* bytes of a reserved huge page, 2 MiB or 1 GiB; 0: ordinary pages */
	bool thp;       /* transparent huge pages where the kernel finds some */
	bool prealloc;  /* all of it at the start; no hole is left */
	uint64_t nodes; /* bit n: NUMA node n; 0: wherever the toucher runs. Several: by turns */
};

/*
 * "12G", or "size=12G,hugepages=2M,thp=on,numa=0,1,prealloc=on" in any order; what is not named is
 * left as it is in @size and @b. -EINVAL, naming the word.
 */
int backing_parse(const char *text, uint64_t *size, struct backing *b, struct err *e);
/* @size and @b as backing_parse() reads them, into @buf of BACKING_TEXT_MAX bytes; returns @buf. */
const char *backing_format(uint64_t size, const struct backing *b, char *buf);
/* Whether the fields fit each other and @size; nothing of this host. -EINVAL. */
int backing_valid(const struct backing *b, uint64_t size, struct err *e);
/* Whether this host has it now: huge pages free, nodes present. -ENOMEM, -EOPNOTSUPP, -ENODEV. */
int backing_check(const struct backing *b, uint64_t size, struct err *e);
/*
 * The file that such memory is mapped from, still empty, under @name in /proc/PID/maps where the
 * kernel says so. A descriptor that is closed on exec, or negative errno.
 */
int backing_file(const struct backing *b, const char *name, struct err *e);
/* Binds @size bytes at @p to the nodes of @b. 0 or negative errno. */
int backing_bind(const struct backing *b, void *p, uint64_t size, struct err *e);

#endif
