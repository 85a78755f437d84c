/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the reading of /proc for machine.h. Must never fail: what cannot be read is "unknown".
 * Next in the flow: bench/campaign.c.
 */
#include "bench/machine.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "hv/migrate/rendezvous.h"

#define MACHINE_LOOK_NS 100000000 /* how long the others are looked at */

/* The value after "KEY :" in the first line of @path that starts with @key. */
static void machine_line(const char *path, const char *key, char *out, size_t n)
{
	FILE *f = fopen(path, "re");
	char line[512];

	snprintf(out, n, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *v = strchr(line, ':');

		if (strncmp(line, key, strlen(key)) != 0 || !v)
			continue;
		v += 1 + strspn(v + 1, " \t");
		v[strcspn(v, "\n")] = '\0';
		snprintf(out, n, "%s", v);
		break;
	}
	if (f)
		fclose(f);
}

static uint64_t machine_memory(const char *key)
{
	char v[64];

	machine_line("/proc/meminfo", key, v, sizeof(v));
	return strtoull(v, NULL, 10) << 10;
}

/* Clock ticks in which the processors did something, summed. */
static uint64_t machine_busy(void)
{
	uint64_t user = 0, nice = 0, system = 0, idle, wait, irq = 0, soft = 0, steal = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (f) {
		if (fscanf(f,
			    "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			    " %" SCNu64 " %" SCNu64 " %" SCNu64,
			    &user, &nice, &system, &idle, &wait, &irq, &soft, &steal) != 8)
			user = 0;
		fclose(f);
	}
	return user + nice + system + irq + soft + steal;
}

static void machine_kvm(char *out, size_t n)
{
	static const char *const modules[] = { "kvm_intel", "kvm_amd" };

	snprintf(out, n, "no kvm_intel or kvm_amd module (built in, or a software backend)");
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/module/%s/parameters", modules[i]);
		if (access(path, F_OK) == 0)
			snprintf(out, n, "%s", modules[i]);
	}
}

void machine_look(struct machine *m)
{
	const struct timespec look = { .tv_nsec = MACHINE_LOOK_NS };
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;
	uint64_t busy;

	*m = (struct machine){ 0 };
	machine_line("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	if (uname(&u) == 0)
		snprintf(m->kernel, sizeof(m->kernel), "%.16s %.70s", u.sysname, u.release);
	machine_kvm(m->kvm, sizeof(m->kvm));
	snprintf(m->software, sizeof(m->software), "watari %.50s", rdv_software());
	m->cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	m->memory = machine_memory("MemTotal");
	m->available = machine_memory("MemAvailable");
	if (gmtime_r(&now, &tm))
		strftime(m->when, sizeof(m->when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (getloadavg(&m->load1, 1) != 1)
		m->load1 = 0;
	busy = machine_busy();
	nanosleep(&look, NULL);
	m->others = (double)(machine_busy() - busy) / (double)sysconf(_SC_CLK_TCK) * 1e9 /
		    MACHINE_LOOK_NS;
}
