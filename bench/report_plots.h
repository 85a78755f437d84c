/* SPDX-License-Identifier: Apache-2.0 */
/* The plots of a measurement, each an <svg> element. Next in the flow: report_html.c. */
#ifndef WATARI_BENCH_REPORT_PLOTS_H
#define WATARI_BENCH_REPORT_PLOTS_H

#include "bench/campaign.h"
#include "bench/plot.h"

/* How long the guest was away in every move of a case's @each systems. As plot_close(). */
int plots_distribution(
	const struct bench_series *s, unsigned each, unsigned number, char **svg, struct err *e);
/* One move: phases, the guest's work, residual, goodput, dirty rate. As plot_close(). */
int plots_timeline(const struct bench_run *r, unsigned number, char **svg, struct err *e);

#endif
