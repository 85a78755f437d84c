/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `watari check` and `watari migrate` share about the checks before a move: the option --skip,
 * and how a check is told. Next in the flow: check.c, migrate.c; hv/preflight/preflight.h.
 */
#ifndef WATARI_CMD_CHECKS_H
#define WATARI_CMD_CHECKS_H

#include <jansson.h>

#include "hv/base/err.h"

/* Of --skip, which may be given several times; the texts are the command line's. */
struct checks_skip {
	const char *name[64];
	unsigned n;
};
/* False: too many. */
int checks_skip_add(struct checks_skip *s, const char *names);
/* Puts them into @request, each known and one that may be skipped. */
int checks_skip_put(const struct checks_skip *s, json_t *request, struct err *e);

/* Prints one check of an answer, as a line, and how to mend it. */
void checks_tell(const json_t *check);

#endif
