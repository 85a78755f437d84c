/* SPDX-License-Identifier: Apache-2.0 */
/* The transports this binary has, by name: the one list of them. */
#ifndef WATARI_CMD_TRANSPORTS_H
#define WATARI_CMD_TRANSPORTS_H

#include "hv/migrate/choose.h"

/*
 * The transports to choose from: all of them, best first, for "auto", else the one called @name.
 * -EINVAL lists the known ones.
 */
int transports_find(const char *name, struct xport_list *out, struct err *e);

/*
 * Loads what the first move of this process would have to wait for; transports_warm() does so in a
 * thread of its own. No adapter is opened.
 */
void transports_load(void);
void transports_warm(void);

/* The transports by number, for who wants all of them; NULL behind the last. */
const struct xport_ops *transport_at(size_t i);

#endif
