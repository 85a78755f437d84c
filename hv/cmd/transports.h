/* SPDX-License-Identifier: Apache-2.0 */
/* The transports this binary has, by name: the one list of them. */
#ifndef WATARI_CMD_TRANSPORTS_H
#define WATARI_CMD_TRANSPORTS_H

#include "hv/migrate/xport.h"

/* The transport called @name; NULL, and an error that lists the known ones. */
const struct xport_ops *transport_find(const char *name, struct err *e);

/* The transports by number, for who wants all of them; NULL behind the last. */
const struct xport_ops *transport_at(size_t i);

#endif
