/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the reading of /proc for meter.h. A thread that starts and ends between two samples is
 * missed; the threads of a move live as long as it does.
 * Next in the flow: bench/trace.c.
 */
#include "bench/meter.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* watari: "vcpu0"; QEMU with debug-threads=on: "CPU 0/KVM". */
static int meter_is_vcpu(pid_t pid, pid_t tid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return strncmp(name, "vcpu", 4) == 0 || strncmp(name, "CPU ", 4) == 0;
}

static struct meter_thread *meter_thread(struct meter *m, pid_t tid, uint64_t first)
{
	for (unsigned i = 0; i < m->threads; i++)
		if (m->thread[i].tid == tid)
			return &m->thread[i];
	if (m->threads == METER_THREADS)
		return NULL;
	m->thread[m->threads] = (struct meter_thread){
		.tid = tid, .first_ns = first, .last_ns = first, .vcpu = meter_is_vcpu(m->pid, tid)
	};
	return &m->thread[m->threads++];
}

/* @fresh: a thread not seen before starts at what it has used, not at nothing. */
static void meter_threads(struct meter *m, int fresh)
{
	char path[96];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)m->pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		pid_t tid = (pid_t)atoi(d->d_name);
		struct meter_thread *t;
		uint64_t ns;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)m->pid, (int)tid);
		f = tid > 0 ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		if (fscanf(f, "%" SCNu64, &ns) == 1) {
			t = meter_thread(m, tid, fresh ? ns : 0);
			if (t && ns > t->last_ns)
				t->last_ns = ns;
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
}

static void meter_peak(struct meter *m)
{
	char path[64], line[128];
	uint64_t kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)m->pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1 && kib << 10 > m->peak_bytes)
			m->peak_bytes = kib << 10;
	fclose(f);
}

void meter_start(struct meter *m, pid_t pid)
{
	*m = (struct meter){ .pid = pid };
	meter_threads(m, 1);
}

void meter_start_new(struct meter *m, pid_t pid)
{
	*m = (struct meter){ .pid = pid };
	meter_threads(m, 0);
}

void meter_sample(struct meter *m)
{
	if (m->pid == 0)
		return;
	meter_threads(m, 0);
	meter_peak(m);
}

static uint64_t meter_sum(const struct meter *m, int vcpu)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < m->threads; i++)
		if (m->thread[i].vcpu == vcpu)
			ns += m->thread[i].last_ns - m->thread[i].first_ns;
	return ns;
}

uint64_t meter_cpu_ns(const struct meter *m)
{
	return meter_sum(m, 0);
}

uint64_t meter_vcpu_ns(const struct meter *m)
{
	return meter_sum(m, 1);
}
