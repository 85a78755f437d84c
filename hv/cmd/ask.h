/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the form "watari OP NAME [--json]": one request, one answer. */
#ifndef WATARI_CMD_ASK_H
#define WATARI_CMD_ASK_H

#include <jansson.h>

#include "hv/cmd/cmd.h"

struct ask {
	const char *op;  /* of docs/control-socket.md */
	const char *doc; /* for --help */
	/* Asks it; NULL: ctl_ask(). */
	int (*ask)(const char *dir, const char *name, json_t **answer, struct err *e);
	/* Tells a person what the answer is. */
	void (*tell)(const char *name, const json_t *answer);
	/* Finds better words for why nobody answered; may be NULL. */
	void (*explain)(const char *name, struct err *e);
};

/* Parses, asks, prints the answer (--json: all of it but "ok"). Returns the exit code. */
int ask_run(const struct ask *a, int argc, char **argv);

/* Prints @j on one line to stdout. */
void ask_print_json(const json_t *j);

#endif
