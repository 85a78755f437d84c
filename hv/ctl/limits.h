/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a move's phases as keys of a migrate request (docs/control-socket.md): written by
 * the asking side, read by the guest's. Next in the flow: guest.c, hv/cmd/migrate.c.
 */
#ifndef WATARI_CTL_LIMITS_H
#define WATARI_CTL_LIMITS_H

#include <jansson.h>

#include "hv/base/err.h"
#include "hv/migrate/limits.h"

/* What a request says of limits; a phase it says nothing of has its default. */
struct ctl_limits {
	const char *text[MIG_LIMITS]; /* as typed; NULL: not given */
};

/*
 * Checks what was typed and puts it into @request. -EINVAL quotes it, or names the contradiction to
 * @downtime_limit_ns.
 */
int ctl_limits_put(
	const struct ctl_limits *l, uint64_t downtime_limit_ns, json_t *request, struct err *e);
/*
 * The reverse: keys that are missing leave the defaults, and the frozen phase, if it is not given,
 * leaves room for @downtime_limit_ns.
 */
int ctl_limits_get(
	const json_t *request, uint64_t downtime_limit_ns, struct mig_limits *l, struct err *e);

#endif
