/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's CPUs: which there are, which this process may use, which belong to a NUMA node. Uses
 * libnuma, as only hv/mem may. Must never change where a thread of the process runs.
 * Next in the flow: hv/vm/place.h asks, hv/vm/vcpus.c acts on it.
 */
#ifndef WATARI_MEM_CPUS_H
#define WATARI_MEM_CPUS_H

#include <sched.h>
#include <stddef.h>

#include "hv/base/err.h"

/* What a host says of its CPUs; cpus_host is this one, tests have others. */
struct cpus_host {
	/* Those that are there and switched on. 0 or negative errno. */
	int (*online)(cpu_set_t *out, struct err *e);
	/*
	 * Those that a thread of this process may be given: the affinity it was started with, and
	 * CPUs that are isolated (isolcpus=), which no thread is on unless it names them; of both
	 * what the cpuset of its control group has. 0 or negative errno.
	 */
	int (*allowed)(cpu_set_t *out, struct err *e);
	/* Those of NUMA node @node. -ENODEV: no such node here. */
	int (*node)(unsigned node, cpu_set_t *out, struct err *e);
};
extern const struct cpus_host cpus_host;

/* "0-3,8" into @buf of @n bytes, at least 8; what has no room is "...". Returns @buf. */
const char *cpus_format(const cpu_set_t *s, char *buf, size_t n);

#endif
