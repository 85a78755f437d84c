/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what io_uring this host has: makes the ring with the best flags the kernel takes, and says
 * in one sentence why there is none. Must never fail for a feature that can be done without.
 * Invariant: what the probe calls usable, xuring_ring_init() can make.
 * Next in the flow: uring.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "transport-tcp/uring.h"

/* Submissions: a receive, a send and their cancellations for every stream. */
#define XURING_ENTRIES 64

/* Completions that may wait; the kernel keeps what is beyond until there is room. */
#define XURING_CQ_ENTRIES 1024

/* Every ring is made disabled: it is bound to the thread that enables it (xport.h: THREADS). */
#define XURING_FLAGS (IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED)

static const char *const xuring_disabled_path = "/proc/sys/kernel/io_uring_disabled";

/* The sysctl's value; 0 if there is none. */
static int xuring_disabled(void)
{
	FILE *f = fopen(xuring_disabled_path, "re");
	int v = 0;

	if (f && fscanf(f, "%d", &v) != 1)
		v = 0;
	if (f)
		fclose(f);
	return v;
}

static int xuring_why_forbidden(struct err *e)
{
	int v = xuring_disabled();

	if (v == 2)
		return err_set(e, -EPERM,
			"kernel.io_uring_disabled is 2: 'sysctl kernel.io_uring_disabled=0' allows "
			"io_uring");
	if (v == 1)
		return err_set(e, -EPERM,
			"kernel.io_uring_disabled is 1: join the group kernel.io_uring_group, or "
			"'sysctl kernel.io_uring_disabled=0'");
	return err_set(e, -EPERM,
		"io_uring is forbidden by a seccomp filter: allow io_uring_setup, _enter and "
		"_register in the container's profile");
}

static int xuring_why_not(int code, struct err *e)
{
	struct rlimit lim = { 0 };

	switch (code) {
	case -EPERM:
	case -EACCES: return xuring_why_forbidden(e);
	case -ENOSYS:
		return err_set(e, code,
			"this kernel has no io_uring, or a seccomp filter hides it: Linux 5.11 or "
			"later has it");
	case -ENOMEM:
		getrlimit(RLIMIT_MEMLOCK, &lim);
		return err_set(e, code,
			"no memory for a ring: RLIMIT_MEMLOCK is %" PRIu64 " KiB, 'ulimit -l' or "
			"LimitMEMLOCK= raises it",
			(uint64_t)lim.rlim_cur >> 10);
	default: return err_set(e, code, "io_uring cannot be set up: %s", strerrordesc_np(-code));
	}
}

static int xuring_need_ops(struct io_uring *ring, bool *zc, struct err *e)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(ring);
	bool ok = p && (ring->features & IORING_FEAT_EXT_ARG) != 0;

	ok = ok && io_uring_opcode_supported(p, IORING_OP_SENDMSG);
	ok = ok && io_uring_opcode_supported(p, IORING_OP_RECVMSG);
	ok = ok && io_uring_opcode_supported(p, IORING_OP_ASYNC_CANCEL);
	*zc = ok && io_uring_opcode_supported(p, IORING_OP_SENDMSG_ZC);
	free(p);
	if (!ok)
		return err_set(e, -EOPNOTSUPP,
			"this kernel's io_uring is too old: Linux 5.11 or later is needed");
	return 0;
}

int xuring_ring_init(struct io_uring *ring, bool plain, bool *zc, struct err *e)
{
	/* Best first: completions are only worked on when we ask for them (6.1), or at least never
	 * interrupt (5.19). */
	static const unsigned flags[] = {
		XURING_FLAGS | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		XURING_FLAGS | IORING_SETUP_COOP_TASKRUN,
		XURING_FLAGS,
	};
	const size_t n = sizeof(flags) / sizeof(flags[0]);
	int r = -EINVAL;

	for (size_t i = plain ? n - 1 : 0; i < n && r == -EINVAL; i++) {
		struct io_uring_params p = { .flags = flags[i], .cq_entries = XURING_CQ_ENTRIES };

		r = io_uring_queue_init_params(XURING_ENTRIES, ring, &p);
	}
	if (r < 0)
		return xuring_why_not(r, e);
	r = xuring_need_ops(ring, zc, e);
	if (r)
		io_uring_queue_exit(ring);
	return r;
}

void xuring_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	struct io_uring ring;
	struct err e;
	bool zc;

	(void)addr;
	out->usable = xuring_ring_init(&ring, false, &zc, &e) == 0;
	if (!out->usable) {
		snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, e.msg);
		return;
	}
	io_uring_queue_exit(&ring);
	snprintf(out->why, sizeof(out->why), "%s",
		zc ? "io_uring with zero-copy sends"
		   : "io_uring without zero-copy sends, which Linux 6.1 or later has: puts are "
		     "copied");
}
