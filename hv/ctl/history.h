/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moves of this host, one JSON object per line in the state directory: history.jsonl, and
 * history.jsonl.1 with what was before. Written by the guests' processes at both ends, each line by
 * one write() of a file opened for appending, so lines never mix.
 * Invariant: the two files together are never larger than twice the limit.
 * Next in the flow: migrate.c writes, hv/cmd/history.c reads.
 */
#ifndef WATARI_CTL_HISTORY_H
#define WATARI_CTL_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/move.h"

#define HISTORY_FILE "history.jsonl"
#define HISTORY_MOST (4u << 20)  /* bytes of one file */
#define HISTORY_LINE (16u << 10) /* bytes of a line, newline included */

/* $WATARI_STATE_DIR, or /var/lib/watari where that is unset or empty. Valid until setenv(). */
const char *ctl_state_dir(void);

struct history_move {
	const char *guest;
	bool leaving;
	const char *from, *to;
	uint64_t real_ns; /* when it ended, CLOCK_REALTIME */
	int rc;           /* of mig_source_run() or mig_target_run() */
	const char
		*skipped; /* names of the checks before it that were left out; NULL or "": none */
	const struct mig_result *result;
	const struct err *err; /* why, unless rc is 0 */
};

/* The line's object; NULL without memory. */
json_t *history_json(const struct history_move *m);

/*
 * Appends one line to the file in @dir, which is made with mode 0700 if it is not there. A file
 * that would grow beyond @most bytes becomes the one before, in place of the older.
 */
int history_append(const char *dir, const struct history_move *m, size_t most, struct err *e);

/*
 * Every line in both files, oldest first; @name not NULL: of that guest alone. @line is borrowed.
 * Lines that are no objects are counted in @bad and passed over. No file, no lines: 0.
 */
int history_read(const char *dir, const char *name, void (*fn)(void *arg, const json_t *line),
	void *arg, unsigned *bad, struct err *e);

/*
 * Where guest @name went, if the last that the history of @dir has of it is that it left: true, and
 * that line, a new reference. False: it did not, or nobody can tell.
 */
bool history_left(const char *dir, const char *name, json_t **line);
/*
 * Notes that @name was started here although it had left: from then on history_left() is false.
 */
int history_forced(const char *dir, const char *name, size_t most, struct err *e);

#endif
