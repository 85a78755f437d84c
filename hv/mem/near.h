/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the threads that copy guest memory had better run: on the NUMA node that the memory, or the
 * network device, is on. Uses libnuma, as only hv/mem may.
 * Invariant: what near_enter() took from a thread, near_leave() gives back; a thread that is
 * started in between inherits the restriction for good, so no thread that outlives the copy may be.
 * Next in the flow: hv/migrate/pump_source.c, pump_target.c, around the first round.
 */
#ifndef WATARI_MEM_NEAR_H
#define WATARI_MEM_NEAR_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define NEAR_ANYWHERE (-1)

/*
 * The node for threads that copy between memory bound to @memory (bit n: node n; 0: not bound) and
 * a network device on node @device (NEAR_ANYWHERE: not known). Memory on one node decides: every
 * byte is read or written there by a processor, while the device has its own way to memory. Else
 * the device does, unless the memory is all elsewhere.
 */
int near_choose(uint64_t memory, int device);

/* What a host says of its nodes; near_host is this one, tests have others. */
struct near_host {
	int (*nodes)(void); /* with processors; 0 or 1: nothing can be near or far */
	/* The processors of node @node. 0 or negative errno. */
	int (*cpus)(int node, cpu_set_t *out);
};
extern const struct near_host near_host;

struct near {
	bool entered;
	cpu_set_t before;
};

/*
 * Keeps the calling thread to those processors of @node that it may use anyway. True if it did;
 * false leaves all as it is: one node, no such node, or no processor of it that is allowed.
 */
bool near_enter(struct near *n, const struct near_host *h, int node);
/* The calling thread runs where it did before. Does nothing if near_enter() did nothing. */
void near_leave(struct near *n);

#endif
