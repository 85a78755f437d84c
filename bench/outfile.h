/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that results are written to: found out before anything is measured whether it can be, and
 * afterwards whether all of it was.
 * Next in the flow: report.h.
 */
#ifndef WATARI_BENCH_OUTFILE_H
#define WATARI_BENCH_OUTFILE_H

#include <jansson.h>
#include <stdio.h>

#include "hv/base/err.h"

/*
 * 0 if @path, given with --@option, can be written now; nothing of it is changed. "-" is stdout.
 * Negative errno with a sentence.
 */
int outfile_check(const char *option, const char *path, struct err *e);
/*
 * Closes @f, which is @path. Whatever could not be written is an error, and half a file is removed.
 * @rc: what came before; if negative, it stays, and @e with it.
 */
int outfile_close(FILE *f, const char *path, int rc, struct err *e);
/* All of @j as text to @path, "-" for stdout. */
int outfile_json(const json_t *j, const char *path, struct err *e);

#endif
