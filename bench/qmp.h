/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side of QEMU's control protocol (QMP): one JSON object a line over a Unix socket. One
 * question at a time; events are skipped. Every wait has an end.
 * Next in the flow: system_qemu.c.
 */
#ifndef WATARI_BENCH_QMP_H
#define WATARI_BENCH_QMP_H

#include <jansson.h>

#include "hv/base/err.h"

struct qmp;

/* Connects and takes the greeting. -ENOENT, -ECONNREFUSED: nobody listens there (yet). */
int qmp_open(struct qmp **out, const char *path, struct err *e);
void qmp_close(struct qmp *q); /* NULL is fine */
/*
 * Executes @command with @args (a reference that is taken over; NULL: none). 0 and, if @out is not
 * NULL, what it returned, a new reference; otherwise the peer's own words.
 */
int qmp_call(struct qmp *q, const char *command, json_t *args, json_t **out, struct err *e);

#endif
