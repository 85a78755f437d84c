/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the rule about networks: without credentials only this host itself is let in
 * unless the user says that the network can be trusted.
 * Next in the flow: receive.c.
 */
#include "hv/cmd/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 32

static bool listen_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		const struct in6_addr *a =
			&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

		return IN6_IS_ADDR_LOOPBACK(a) ||
		       (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
	}
	return false;
}

static int listen_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int listen_name(int fd, char *got, struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct ctl_addr a;
	char port[8];
	int rc;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_errno(e, "cannot tell what address was taken");
	rc = getnameinfo((struct sockaddr *)&sa, len, a.host, sizeof(a.host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV);
	if (rc)
		return err_set(e, -EIO, "cannot tell what address was taken: %s", gai_strerror(rc));
	a.port = (uint16_t)atoi(port);
	ctl_addr_format(&a, got);
	return 0;
}

int listen_open(const char *text, bool trust, char *got, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list, *ai;
	struct ctl_addr a;
	char port[8];
	int rc = ctl_addr_parse(text, "127.0.0.1", 0, &a, e), fd = -1;

	if (rc < 0)
		return rc;
	snprintf(port, sizeof(port), "%u", a.port);
	rc = getaddrinfo(a.host, port, &hints, &list);
	if (rc)
		return err_set(
			e, -EADDRNOTAVAIL, "cannot resolve '%s': %s", a.host, gai_strerror(rc));
	for (ai = list; ai && fd < 0; ai = ai->ai_next) {
		if (!trust && !listen_loopback(ai->ai_addr)) {
			err_set(e, -EPERM,
				"others can reach %s, and peers are not authenticated: say --tls DIR or --psk FILE, "
				"or --trust-network if everybody on that network may send guests here",
				a.host);
			break;
		}
		fd = listen_one(ai);
		if (fd < 0)
			err_errno(e, "cannot listen on %s", text);
	}
	freeaddrinfo(list);
	if (fd < 0)
		return e->code;
	rc = listen_name(fd, got, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}
