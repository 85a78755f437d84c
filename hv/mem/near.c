/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the choice of a node for a copying thread, and the thread's way there and back (see near.h).
 * Must never fail a move: a thread that cannot be near is only slower.
 * Next in the flow: hv/migrate/pump_source.c.
 */
#include "hv/mem/near.h"

#include <errno.h>
#include <numa.h>

int near_choose(uint64_t memory, int device)
{
	bool one = memory && (memory & (memory - 1)) == 0;

	if (one)
		return __builtin_ctzll(memory);
	if (device < 0 || device >= 64 || (memory && !(memory >> device & 1)))
		return NEAR_ANYWHERE;
	return device;
}

static int near_nodes(void)
{
	return numa_available() < 0 ? 0 : numa_num_configured_nodes();
}

static int near_cpus(int node, cpu_set_t *out)
{
	struct bitmask *m = numa_allocate_cpumask();
	int r = numa_node_to_cpus(node, m) < 0 ? -errno : 0;

	CPU_ZERO(out);
	for (unsigned i = 0; r == 0 && i < m->size && i < CPU_SETSIZE; i++)
		if (numa_bitmask_isbitset(m, i))
			CPU_SET(i, out);
	numa_free_cpumask(m);
	return r;
}

const struct near_host near_host = { .nodes = near_nodes, .cpus = near_cpus };

bool near_enter(struct near *n, const struct near_host *h, int node)
{
	cpu_set_t there;

	n->entered = false;
	if (node < 0 || h->nodes() < 2 || h->cpus(node, &there) < 0 ||
		sched_getaffinity(0, sizeof(n->before), &n->before))
		return false;
	CPU_AND(&there, &there, &n->before);
	if (CPU_COUNT(&there) == 0 || CPU_EQUAL(&there, &n->before))
		return false;
	n->entered = sched_setaffinity(0, sizeof(there), &there) == 0;
	return n->entered;
}

void near_leave(struct near *n)
{
	if (n->entered)
		sched_setaffinity(0, sizeof(n->before), &n->before);
	n->entered = false;
}
