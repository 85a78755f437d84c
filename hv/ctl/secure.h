/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move's channel is to be, as keys of a migrate request (docs/control-socket.md): the path
 * of the credentials travels, never they themselves. Next in the flow: guest.c, hv/cmd/migrate.c.
 */
#ifndef WATARI_CTL_SECURE_H
#define WATARI_CTL_SECURE_H

#include <jansson.h>

#include "hv/base/err.h"
#include "hv/migrate/chan.h"

int ctl_secure_put(const struct chan_want *w, json_t *request, struct err *e);
/* The reverse; keys that are missing leave the move in clear. */
int ctl_secure_get(const json_t *request, struct chan_want *w, struct err *e);

#endif
