/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the questions about the host's CPUs (see cpus.h). Must never leave a thread with another
 * affinity than it had: what the kernel would grant is tried by a thread of its own, which ends.
 * Next in the flow: hv/vm/place.c.
 */
#include "hv/mem/cpus.h"

#include <errno.h>
#include <numa.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "hv/mem/near.h"

#define CPUS_DIR "/sys/devices/system/cpu/"

static void cpus_of(const struct bitmask *m, cpu_set_t *out)
{
	CPU_ZERO(out);
	for (unsigned i = 0; i < m->size && i < CPU_SETSIZE; i++)
		if (numa_bitmask_isbitset(m, i))
			CPU_SET(i, out);
}

/* A list as the kernel writes it; false: there is none, or it is empty. */
static bool cpus_read(const char *path, cpu_set_t *out)
{
	char text[4096] = "";
	struct bitmask *m;
	FILE *in = fopen(path, "re");

	CPU_ZERO(out);
	if (!in)
		return false;
	if (!fgets(text, sizeof(text), in))
		text[0] = '\0';
	fclose(in);
	text[strcspn(text, "\n")] = '\0';
	m = text[0] ? numa_parse_cpustring_all(text) : NULL;
	if (!m)
		return false;
	cpus_of(m, out);
	numa_bitmask_free(m);
	return true;
}

static int cpus_online(cpu_set_t *out, struct err *e)
{
	if (cpus_read(CPUS_DIR "online", out))
		return 0;
	return err_set(e, -ENOENT, "cannot tell this host's CPUs from " CPUS_DIR "online");
}

/* Comes back with what the kernel grants of @arg. */
static void *cpus_try(void *arg)
{
	cpu_set_t *s = arg;

	if (sched_setaffinity(0, sizeof(*s), s) < 0 || sched_getaffinity(0, sizeof(*s), s) < 0)
		CPU_ZERO(s);
	return NULL;
}

static int cpus_allowed(cpu_set_t *out, struct err *e)
{
	cpu_set_t wide;
	pthread_t t;

	if (sched_getaffinity(0, sizeof(*out), out) < 0)
		return err_errno(e, "cannot tell which CPUs this process may use");
	if (!cpus_read(CPUS_DIR "isolated", &wide))
		return 0;
	CPU_OR(&wide, &wide, out);
	if (CPU_EQUAL(&wide, out) || pthread_create(&t, NULL, cpus_try, &wide) != 0)
		return 0;
	pthread_join(t, NULL);
	CPU_OR(out, out, &wide);
	return 0;
}

static int cpus_node(unsigned node, cpu_set_t *out, struct err *e)
{
	if (near_host.nodes() < 1)
		return err_set(e, -ENODEV, "this host's kernel has no NUMA support");
	if ((int)node > numa_max_node() || near_host.cpus((int)node, out) < 0)
		return err_set(e, -ENODEV, "there is no such NUMA node here, the highest is %d",
			numa_max_node());
	return 0;
}

const struct cpus_host cpus_host = {
	.online = cpus_online,
	.allowed = cpus_allowed,
	.node = cpus_node,
};

const char *cpus_format(const cpu_set_t *s, char *buf, size_t n)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int i = 0; i < CPU_SETSIZE; i++) {
		char run[16];
		int first = i, len;

		if (!CPU_ISSET(i, s))
			continue;
		while (i + 1 < CPU_SETSIZE && CPU_ISSET(i + 1, s))
			i++;
		len = first == i ? snprintf(run, sizeof(run), "%s%d", at ? "," : "", i)
				 : snprintf(run, sizeof(run), "%s%d-%d", at ? "," : "", first, i);
		/* room for ",..." and a NUL stays */
		if (at + (size_t)len + 5 > n) {
			strcpy(buf + at, at ? ",..." : "...");
			break;
		}
		strcpy(buf + at, run);
		at += (size_t)len;
	}
	return buf;
}
