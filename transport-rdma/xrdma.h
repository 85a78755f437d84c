/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RDMA transport, from outside: an implementation of hv/migrate/xport.h for hv/cmd to choose.
 * Needs a device that librdmacm finds on the way to the address: InfiniBand, RoCE or iWARP, also
 * the kernel's own soft-RoCE. Without one everything but probe() fails with a sentence.
 * Next in the flow: internal.h.
 */
#ifndef WATARI_TRANSPORT_RDMA_XRDMA_H
#define WATARI_TRANSPORT_RDMA_XRDMA_H

#include "hv/migrate/xport.h"

/* Reliable connected queue pairs; puts are RDMA writes, messages are sends. */
extern const struct xport_ops xrdma_ops;

/*
 * Loads the user-space drivers of every adapter there might be, which the first look for a device
 * does and which takes its time; opens none, so that an adapter can go as before.
 */
void xrdma_warm(void);

#endif
