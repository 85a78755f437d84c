/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an adapter or the connection manager says, in words a person can act on.
 * Next in the flow: recv.c and events.c report with them.
 */
#ifndef WATARI_TRANSPORT_RDMA_STATUS_H
#define WATARI_TRANSPORT_RDMA_STATUS_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "hv/base/err.h"

/* "transport retry counter exceeded (12): the peer's host does not answer ..." */
int xrdma_status_error(struct err *e, const struct ibv_wc *wc, const char *what);

/* What usually causes it; never NULL. */
const char *xrdma_status_meaning(enum ibv_wc_status s);

/* An event of the connection manager that ends a connection or the making of one. */
int xrdma_cm_error(struct err *e, enum rdma_cm_event_type event, int status);

#endif
