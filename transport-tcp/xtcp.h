/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP transport, from outside: an implementation of hv/migrate/xport.h for hv/cmd to choose.
 * Needs nothing but a network between the two hosts.
 * Next in the flow: conn.h.
 */
#ifndef WATARI_TRANSPORT_TCP_XTCP_H
#define WATARI_TRANSPORT_TCP_XTCP_H

#include "hv/migrate/xport.h"

/* Plain sockets, one thread an end: sendmsg() out of guest memory, recvmsg() into it. */
extern const struct xport_ops xtcp_sock_ops;

/* The same wire through one io_uring a connection; large puts by reference where the path can. */
extern const struct xport_ops xtcp_uring_ops;

#endif
