/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a move: one list that serves the table, the JSON and the page, so that none knows
 * one that the others do not.
 * Next in the flow: report.h.
 */
#ifndef WATARI_BENCH_FIGURE_H
#define WATARI_BENCH_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/campaign.h"
#include "bench/stats.h"

/* How a person wants to read it. */
enum figure_form {
	FORM_TIME_US,
	FORM_TIME_MS,
	FORM_COUNT,
	FORM_BYTES,
	FORM_BYTES_S,
	FORM_PAGES_S,
};

struct figure {
	const char *key;  /* in JSON */
	const char *name; /* before a row */
	const char *head; /* over a column of the table of runs; NULL: not in that table */
	int width;        /* characters of that column */
	double (*of)(const struct bench_run *r); /* NAN: this system or move has none */
	enum figure_form form;
	bool whole; /* an integer in JSON */
};

extern const struct figure bench_figures[];
extern const size_t bench_nfigures;

/* NULL if there is none of that key. */
const struct figure *figure_find(const char *key);
/* "1.23 ms" and so on into @buf; returns @buf. */
const char *figure_format(const struct figure *f, double v, char *buf, size_t n);
/* How well moves were predicted: @within of @of had their blackout within 25 % or 1 ms of what was
 * predicted at the freeze. @of 0: a system that predicts nothing. */
void figure_predicted(const struct bench_series *s, unsigned *within, unsigned *of);
/* Over the runs of @s in which the guest moved and that have it. False without memory, or if there
 * are none. */
bool figure_stats(const struct bench_series *s, const struct figure *f, struct stats *out);
/* The median of figure @key of @s, or 0. */
double figure_median(const struct bench_series *s, const char *key);

#endif
