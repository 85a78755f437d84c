/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One plot by gnuplot, as SVG to be put into a page: its text and axes take the page's colour, so
 * that it can be read on light and on dark, and its ids are its own.
 * Next in the flow: report_html.c.
 */
#ifndef WATARI_BENCH_PLOT_H
#define WATARI_BENCH_PLOT_H

#include <stdio.h>

#include "hv/base/err.h"

/* Colours that stand out from white and from black. */
#define PLOT_BLUE   "#2a7fd4"
#define PLOT_ORANGE "#d9731a"
#define PLOT_GREEN  "#2e9e5b"
#define PLOT_RED    "#d0454f"
#define PLOT_GREY   "#808080"

struct plot {
	FILE *script; /* gnuplot commands go here */
	char dir[64];
};

/* 0 if plots can be drawn here; -ENOENT with a sentence that names what is missing. */
int plot_ready(struct err *e);
/* @width and @height in CSS pixels. plot_close() in any case. */
int plot_open(struct plot *p, unsigned width, unsigned height, struct err *e);
/*
 * Draws. *@svg becomes an <svg> element with the accessible name @label; the caller frees it.
 * @number tells the plots of a page apart. -ENOENT: there is no gnuplot; -EIO with its words.
 */
int plot_close(struct plot *p, unsigned number, const char *label, char **svg, struct err *e);

#endif
