/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the questions to this host's kernel (see gather.h). Must never take what it could not read
 * for a figure. Next in the flow: gather_link.c.
 */
#include "hv/preflight/gather.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "hv/kvm/kvm_host.h"

#define GATHER_CAP_IPC_LOCK 14 /* linux/capability.h: locks as much as it wants */

/* The number, to @base, behind @key in a file of lines "key value"; false: it is not there. */
static bool gather_number(const char *path, const char *key, int base, uint64_t *v)
{
	size_t n = strlen(key);
	char line[256], *end;
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, n) != 0)
			continue;
		*v = strtoull(line + n, &end, base);
		found = end != line + n;
	}
	if (f)
		fclose(f);
	return found;
}

static void gather_memory(struct pf_facts *f)
{
	uint64_t kib, free_pages, promised = 0;
	char path[128];

	if (gather_number("/proc/meminfo", "MemAvailable:", 10, &kib))
		f->available = kib << 10;
	if (!f->page)
		return;
	snprintf(path, sizeof(path),
		"/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/free_hugepages", f->page >> 10);
	if (!gather_number(path, "", 10, &free_pages))
		return;
	snprintf(path, sizeof(path),
		"/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/resv_hugepages", f->page >> 10);
	gather_number(path, "", 10, &promised);
	f->huge_free = free_pages > promised ? (free_pages - promised) * f->page : 0;
}

/* "0-3,8": the nodes with memory. */
static void gather_nodes(struct pf_facts *f)
{
	FILE *in = fopen("/sys/devices/system/node/has_memory", "re");
	unsigned a, b;
	int c;

	while (in && fscanf(in, "%u", &a) == 1) {
		b = a;
		c = getc(in);
		if (c == '-' && fscanf(in, "%u", &b) == 1)
			c = getc(in);
		for (unsigned n = a; n <= b && n < 64; n++)
			f->nodes_here |= 1ull << n;
		if (c != ',')
			break;
	}
	if (in)
		fclose(in);
}

static void gather_memlock(struct pf_facts *f)
{
	struct rlimit l;
	uint64_t caps;

	if (getrlimit(RLIMIT_MEMLOCK, &l) < 0)
		return;
	f->memlock_known = PF_YES;
	f->memlock = l.rlim_cur == RLIM_INFINITY ? UINT64_MAX : l.rlim_cur;
	if (gather_number("/proc/self/status", "CapEff:", 16, &caps) &&
		caps >> GATHER_CAP_IPC_LOCK & 1)
		f->memlock = UINT64_MAX;
}

/* Where a folder is still to be made, the one above it counts. */
static int gather_statvfs(const char *dir, struct statvfs *s)
{
	char up[PF_PATH];
	char *slash;

	if (statvfs(dir, s) == 0)
		return 0;
	if (errno != ENOENT || snprintf(up, sizeof(up), "%s", dir) >= (int)sizeof(up))
		return -1;
	slash = strrchr(up, '/');
	if (!slash || slash == up)
		return -1;
	*slash = '\0';
	return statvfs(up, s);
}

static void gather_space(struct pf_facts *f, const char *const *dirs)
{
	struct statvfs s;

	f->space = UINT64_MAX;
	f->space_known = *dirs ? PF_YES : PF_UNKNOWN;
	for (; *dirs; dirs++) {
		uint64_t bytes;

		if (gather_statvfs(*dirs, &s) < 0) {
			f->space_known = PF_UNKNOWN;
			continue;
		}
		bytes = (uint64_t)s.f_bavail * s.f_frsize;
		if (bytes < f->space)
			f->space = bytes;
	}
}

static void gather_time(struct pf_facts *f)
{
	struct timex t = { .modes = 0 };
	int state = adjtimex(&t);

	if (state < 0)
		return;
	f->synced = state == TIME_ERROR || t.status & STA_UNSYNC ? PF_NO : PF_YES;
	f->clock_error_us = (uint64_t)t.maxerror;
}

void pf_gather_host(struct pf_facts *f, const char *const *dirs)
{
	gather_memory(f);
	gather_nodes(f);
	gather_memlock(f);
	gather_space(f, dirs);
	gather_time(f);
}

static void gather_kvm(struct pf_facts *f)
{
	struct kvm_host k = { 0 };
	struct err e = { 0 };
	struct wbuf w;

	wbuf_init(&w);
	if (kvm_host_look(f->cpus ? f->cpus : 1, &k, &w, &e) < 0) {
		snprintf(f->kvm_error, sizeof(f->kvm_error), "%.*s", (int)sizeof(f->kvm_error) - 1,
			e.msg);
	} else {
		f->tsc_khz = k.tsc_khz;
		f->tsc_scaling = k.tsc_scaling ? PF_YES : PF_NO;
		if (w.len <= sizeof(f->cpuid)) {
			memcpy(f->cpuid, w.data, w.len);
			f->cpuid_len = (uint32_t)w.len;
		}
	}
	wbuf_fini(&w);
}

void pf_gather_target(struct pf_facts *f)
{
	gather_kvm(f);
	if (f->kernel[0])
		f->kernel_there = access(f->kernel, R_OK) == 0 ? PF_YES : PF_NO;
	for (uint32_t i = 0; i < f->nnets; i++) {
		struct pf_net *n = &f->net[i];

		if (n->bridge[0])
			n->have_bridge = if_nametoindex(n->bridge) ? PF_YES : PF_NO;
		if (n->tap[0])
			n->have_tap = if_nametoindex(n->tap) ? PF_YES : PF_NO;
	}
}
