/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process may pin and the adapter may hold, compared with what a move needs, before
 * anything is registered: the shortfall to the byte and the line that mends it.
 * Next in the flow: events.c asks when the need is known, device.c when queue pairs are made.
 */
#ifndef WATARI_TRANSPORT_RDMA_LIMITS_H
#define WATARI_TRANSPORT_RDMA_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

struct ibv_device_attr;

struct xrdma_memlock {
	uint64_t limit;  /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: none, or CAP_IPC_LOCK */
	uint64_t pinned; /* bytes this process has pinned already */
};

/* What the kernel holds this process to. Never fails: what cannot be read counts as no limit. */
void xrdma_memlock_read(struct xrdma_memlock *m);
/* 0, or -ENOMEM: @need bytes more do not fit; the message has the figures and the way out. */
int xrdma_memlock_check(const struct xrdma_memlock *m, uint64_t need, struct err *e);
/* "no limit on locked memory", "64 MiB of locked memory" */
const char *xrdma_memlock_text(const struct xrdma_memlock *m, char *buf, unsigned n);

/* 0, or -ENOSPC: the adapter cannot hold @chunks memory regions of up to @chunk_size bytes. */
int xrdma_device_check(const struct ibv_device_attr *a, uint64_t chunks, uint64_t chunk_size,
	const char *device, struct err *e);

/* Of the text of /proc/self/status: the field's number, in what unit it has; 0 if it is absent. */
uint64_t xrdma_status_field(const char *text, const char *name, int base);

#endif
