/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the way from a socket to the device behind it (see link.h). Must never take the device of an
 * address for the way to that same address: what stays on this host uses no device.
 * Next in the flow: streams.c.
 */
#include "hv/migrate/link.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hv/mem/near.h"

/* The number in @sysfs/@name/@what, or @none. */
static long long link_number(const char *sysfs, const char *name, const char *what, long long none)
{
	char path[256];
	long long v;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s/%s", sysfs, name, what) >= (int)sizeof(path))
		return none;
	f = fopen(path, "re");
	if (!f || fscanf(f, "%lld", &v) != 1)
		v = none;
	if (f)
		fclose(f);
	return v;
}

void link_read(const char *sysfs, const char *name, struct link *out)
{
	/* A device without a link says -1, one without the notion of speed fails to be read; one
	 * that is not on a bus, or a host of one node, has no node, or says -1. */
	long long mbit = link_number(sysfs, name, "speed", 0);
	long long node = link_number(sysfs, name, "device/numa_node", NEAR_ANYWHERE);

	*out = (struct link){ .mbit = mbit > 0 ? (uint64_t)mbit : 0,
		.node = node >= 0 && node < 64 ? (int)node : NEAR_ANYWHERE };
}

static bool link_same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
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
static bool link_stays_here(const struct sockaddr_storage *local, int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
	       link_same_address((const struct sockaddr *)local, &peer);
}

void link_look(int fd, struct link *out)
{
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	struct ifaddrs *all = NULL;

	*out = (struct link){ .node = NEAR_ANYWHERE };
	if (getsockname(fd, (struct sockaddr *)&local, &len) || link_stays_here(&local, fd) ||
		getifaddrs(&all))
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (link_same_address(i->ifa_addr, &local)) {
			link_read("/sys/class/net", i->ifa_name, out);
			break;
		}
	freeifaddrs(all);
}
