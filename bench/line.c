/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns sockets and lines of line.h. Must never take a line that does not end.
 * Next in the flow: bench/lane.c.
 */
#include "bench/line.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/migrate/xport.h"

static int line_split(const char *text, char *host, const char **port, struct err *e)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (n == 0 || n >= XPORT_HOST_MAX)
		return err_set(e, -EINVAL, "'%s' is not ADDR:PORT", text);
	if (text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	snprintf(host, XPORT_HOST_MAX, "%.*s", (int)n, text);
	*port = colon + 1;
	if (strcmp(*port, "0") == 0 || **port == '\0')
		return err_set(e, -EINVAL, "'%s' has no port", text);
	return 0;
}

int line_socket(const char *text, bool listening, char *host, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai = NULL;
	int fd = -1, one = 1, rc;
	const char *port = NULL;

	rc = line_split(text, host, &port, e);
	if (rc < 0)
		return rc;
	rc = getaddrinfo(host, port, &hints, &ai);
	if (rc)
		return err_set(e, -EINVAL, "'%s': %s", text, gai_strerror(rc));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && listening)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || (listening ? bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 4) < 0
				 : connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)) {
		rc = listening ? err_errno(e, "cannot listen on %s", text)
			       : err_errno(e, "cannot connect to %s", text);
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	freeaddrinfo(ai);
	return fd;
}

int line_say(int fd, const char *line, struct err *e)
{
	size_t n = strlen(line);

	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n
		       ? 0
		       : err_errno(e, "cannot reach the other end");
}

int line_hear(int fd, char *line, struct err *e)
{
	size_t n = 0;

	while (n < LINE_MAX_BYTES - 1) {
		ssize_t k = read(fd, line + n, 1);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_set(e, -ECONNRESET, "the other end went away");
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return 0;
}
