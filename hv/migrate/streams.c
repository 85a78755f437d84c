/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the number of streams that `auto` stands for (see streams.h). Must never fail: what it
 * cannot find out makes it one stream. Next in the flow: move.c.
 */
#include "hv/migrate/streams.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

unsigned streams_choose(const struct streams_facts *f)
{
	uint64_t want = (f->link_mbit + STREAMS_LINK_MBIT - 1) / STREAMS_LINK_MBIT;

	if (want > f->cpus / 2)
		want = f->cpus / 2;
	if (want > STREAMS_AUTO_MAX)
		want = STREAMS_AUTO_MAX;
	if (want < 1 || f->bytes < STREAMS_BYTES_LEAST)
		want = 1;
	return (unsigned)want;
}

uint64_t streams_link_mbit(const char *sysfs, const char *name)
{
	char path[256];
	long long mbit = 0;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s/speed", sysfs, name) >= (int)sizeof(path))
		return 0;
	f = fopen(path, "re");
	/* A device without a link says -1, one without the notion of speed fails to be read. */
	if (f && fscanf(f, "%lld", &mbit) != 1)
		mbit = 0;
	if (f)
		fclose(f);
	return mbit > 0 ? (uint64_t)mbit : 0;
}

static bool streams_same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (!a)
		return false;
	/* An IPv4 connection of an IPv6 socket: the last four bytes are the address. */
	if (a->sa_family == AF_INET && b->ss_family == AF_INET6)
		return IN6_IS_ADDR_V4MAPPED(&b6->sin6_addr) &&
		       memcmp(&b6->sin6_addr.s6_addr[12], &a4->sin_addr, 4) == 0;
	if (a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/* True if both ends of @fd have one address: then nothing leaves this host, whatever device has it.
 */
static bool streams_stays_here(const struct sockaddr_storage *local, int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
	       streams_same_address((const struct sockaddr *)local, &peer);
}

static unsigned streams_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

void streams_look(int fd, uint64_t bytes, struct streams_facts *out)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	struct ifaddrs *all = NULL;

	*out = (struct streams_facts){ .cpus = streams_cpus(), .bytes = bytes };
	if (getsockname(fd, (struct sockaddr *)&local, &len) || streams_stays_here(&local, fd) ||
		getifaddrs(&all))
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (streams_same_address(i->ifa_addr, &local)) {
			out->link_mbit = streams_link_mbit("/sys/class/net", i->ifa_name);
			break;
		}
	freeifaddrs(all);
}
