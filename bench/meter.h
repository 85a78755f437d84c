/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process costs: the CPU time of its threads, those that run the guest apart, and its peak
 * memory. Read from /proc while it lives, so the last sample before it ends is what counts.
 * Next in the flow: trace.h.
 */
#ifndef WATARI_BENCH_METER_H
#define WATARI_BENCH_METER_H

#include <stdint.h>
#include <sys/types.h>

#define METER_THREADS 64

struct meter {
	pid_t pid; /* 0: nothing to measure */
	struct meter_thread {
		pid_t tid;
		uint64_t first_ns, last_ns; /* CPU time at the first and the last sample */
		int vcpu;                   /* it runs the guest */
	} thread[METER_THREADS];
	unsigned threads;
	uint64_t peak_bytes; /* resident, guest memory included */
};

/* Starts to measure @pid: what its threads have used by now does not count. */
void meter_start(struct meter *m, pid_t pid);
/* As start, but all that its threads have ever used counts: it was started for this. */
void meter_start_new(struct meter *m, pid_t pid);
void meter_sample(struct meter *m);
/* Of all threads but those that run the guest, and of those. ns. */
uint64_t meter_cpu_ns(const struct meter *m);
uint64_t meter_vcpu_ns(const struct meter *m);

#endif
