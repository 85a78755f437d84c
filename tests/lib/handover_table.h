/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/handover.table, the transitions that the Promela model runs, and its comparison with
 * what the machines of hv/migrate do. Next in the flow: handover_table.c.
 */
#ifndef WATARI_TESTS_LIB_HANDOVER_TABLE_H
#define WATARI_TESTS_LIB_HANDOVER_TABLE_H

#include <stdbool.h>

#include "hv/base/err.h"

#define TABLE_ROWS  128
#define TABLE_WORDS 6
#define TABLE_WORD  16

struct table_row {
	unsigned line;
	bool source, used; /* used: some transition of the machines was this row */
	char state[TABLE_WORD], to[TABLE_WORD];
	char events[TABLE_WORDS][TABLE_WORD]; /* "*": any */
	unsigned guards, guards_not;          /* flags, as bits */
	unsigned set, clear;
	char todos[80];
};

struct table {
	struct table_row row[TABLE_ROWS];
	unsigned rows, compared;
};

/* 0, or -EINVAL with the line in @e. */
int table_load(struct table *t, const char *path, struct err *e);

/*
 * Feeds every event, before and after the limit, in every situation that the machine can reach from
 * the beginning of the hand-over. 0, or -EINVAL with the first transition that is not the table's.
 */
int table_compare_source(struct table *t, bool arbiter, struct err *e);
int table_compare_target(struct table *t, bool arbiter, struct err *e);

#endif
