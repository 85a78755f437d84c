/* SPDX-License-Identifier: Apache-2.0 */
/* iperf3, to have a plain stream beside our transports in the same run. */
#ifndef WATARI_BENCH_IPERF_H
#define WATARI_BENCH_IPERF_H

#include "hv/base/err.h"

struct iperf_result {
	double goodput;           /* bytes/s at the receiver */
	double cpu_near, cpu_far; /* processors each end kept busy */
};

/* @streams for two seconds, to and from @address, one of this host's. -ENOENT: there is no iperf3.
 */
int iperf_run(const char *address, unsigned streams, struct iperf_result *out, struct err *e);

#endif
