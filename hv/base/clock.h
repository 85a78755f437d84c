/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time, in nanoseconds, as unsigned 64-bit counts. Monotonic time is for intervals on one host;
 * real time is only ever compared between hosts through a measured offset.
 */
#ifndef WATARI_BASE_CLOCK_H
#define WATARI_BASE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC  1000000000ull

/* CLOCK_MONOTONIC in ns. Any thread, never fails. */
uint64_t clock_mono_ns(void);

/* Processor time of the calling thread, in ns; what interrupts took from it may be in it. */
uint64_t clock_thread_ns(void);

/* CLOCK_REALTIME in ns since 1970. Any thread, never fails. */
uint64_t clock_real_ns(void);

#endif
