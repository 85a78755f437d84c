/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the questions about the way between the two ends (see gather.h). Must never connect anywhere
 * but to the address that the peer came from. Next in the flow: gather_disk.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/preflight/gather.h"

/* The address as 16 bytes, IPv4 as mapped; false for another family. */
static bool link_bytes(const struct sockaddr *sa, uint8_t out[16])
{
	const struct sockaddr_in6 *six = (const void *)sa;
	const struct sockaddr_in *four = (const void *)sa;

	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return false;
	if (sa->sa_family == AF_INET6) {
		memcpy(out, &six->sin6_addr, 16);
		return true;
	}
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &four->sin_addr, 4);
	return true;
}

static bool link_addr(int fd, bool peer, struct sockaddr_storage *sa)
{
	socklen_t len = sizeof(*sa);

	return (peer ? getpeername : getsockname)(fd, (struct sockaddr *)sa, &len) == 0;
}

static uint64_t link_number(const char *device, const char *what)
{
	char path[128];
	int64_t v = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", device, what);
	f = fopen(path, "re");
	if (f && fscanf(f, "%" SCNd64, &v) != 1)
		v = 0;
	if (f)
		fclose(f);
	return v > 0 ? (uint64_t)v : 0; /* a device without a link says -1 */
}

/* Whether a default route leaves by @device; unknown only if no table can be read. */
static enum pf_know link_fallback(const char *device)
{
	char line[512], name[32];
	enum pf_know answer = PF_UNKNOWN;
	unsigned long to, mask;
	unsigned prefix;
	FILE *f = fopen("/proc/net/route", "re");

	while (f && fgets(line, sizeof(line), f)) {
		answer = answer == PF_YES ? PF_YES : PF_NO;
		if (sscanf(line, "%31s %lx %*s %*s %*s %*s %*s %lx", name, &to, &mask) == 3 &&
			!to && !mask && strcmp(name, device) == 0)
			answer = PF_YES;
	}
	if (f)
		fclose(f);
	f = fopen("/proc/net/ipv6_route", "re");
	while (f && fgets(line, sizeof(line), f)) {
		answer = answer == PF_YES ? PF_YES : PF_NO;
		if (sscanf(line, "%*s %x %*s %*s %*s %*s %*s %*s %*s %31s", &prefix, name) == 2 &&
			!prefix && strncmp(line, "00000000000000000000000000000000", 32) == 0 &&
			strcmp(name, device) == 0)
			answer = PF_YES;
	}
	if (f)
		fclose(f);
	return answer;
}

static void link_device(struct pf_link *l, const uint8_t local[16])
{
	struct ifaddrs *all = NULL;
	uint8_t a[16];

	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *i = all; i && !l->device[0]; i = i->ifa_next) {
		if (link_bytes(i->ifa_addr, a) && memcmp(a, local, 16) == 0)
			snprintf(l->device, sizeof(l->device), "%s", i->ifa_name);
	}
	freeifaddrs(all);
}

void pf_gather_link(struct pf_link *l, int fd)
{
	struct sockaddr_storage a, b;
	uint8_t local[16], peer[16];

	if (!link_addr(fd, false, &a) || !link_addr(fd, true, &b) ||
		!link_bytes((struct sockaddr *)&a, local) ||
		!link_bytes((struct sockaddr *)&b, peer))
		return;
	l->here = memcmp(local, peer, 16) == 0 ? PF_YES : PF_NO;
	link_device(l, local);
	if (!l->device[0])
		return;
	l->mtu = (uint32_t)link_number(l->device, "mtu");
	l->mbit = link_number(l->device, "speed");
	l->fallback = link_fallback(l->device);
}

static void link_set_port(struct sockaddr_storage *sa, uint16_t port)
{
	if (sa->ss_family == AF_INET)
		((struct sockaddr_in *)sa)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
}

static socklen_t link_length(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int pf_port_open(struct pf_link *l, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int s = -1;

	if (!link_addr(fd, false, &sa) || (sa.ss_family != AF_INET && sa.ss_family != AF_INET6))
		return -1;
	link_set_port(&sa, 0);
	s = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&sa, link_length(&sa)) < 0 || listen(s, 1) < 0 ||
		getsockname(s, (struct sockaddr *)&sa, &len) < 0) {
		snprintf(l->reach_error, sizeof(l->reach_error), "%s", strerrordesc_np(errno));
		if (s >= 0)
			close(s);
		return -1;
	}
	l->port = ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
						: ((struct sockaddr_in6 *)&sa)->sin6_port);
	return s;
}

void pf_port_try(struct pf_link *l, int fd, uint16_t port, int timeout_ms)
{
	struct sockaddr_storage sa;
	struct pollfd p = { .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error = 0;

	if (!port || !link_addr(fd, true, &sa) ||
		(sa.ss_family != AF_INET && sa.ss_family != AF_INET6))
		return;
	link_set_port(&sa, port);
	p.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p.fd < 0)
		return;
	if (connect(p.fd, (struct sockaddr *)&sa, link_length(&sa)) < 0 && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, timeout_ms) != 1)
		error = ETIMEDOUT;
	else
		getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	close(p.fd);
	l->reached = error ? PF_NO : PF_YES;
	if (error)
		snprintf(l->reach_error, sizeof(l->reach_error), "%s", strerrordesc_np(error));
}
