/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the control socket's connections (see server.h). Must never block, and never free a
 * connection but in its own callback or in the acceptor's: whoever answers may hold a pointer.
 * Invariant: `in` holds at most one request line's worth of bytes, `out` at most CTL_OUT_MAX.
 * Next in the flow: guest.c.
 */
#include "hv/ctl/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/proto.h"

#define SERVER_OUT_SOFT (32u << 10) /* above it requests and events wait for the reader */

struct ctl_conn {
	struct ctl_server *server;
	int fd;           /* -1: free slot */
	bool held;        /* a request is being worked on */
	bool eof;         /* the client sends no more */
	bool closing;     /* to be closed once `out` is empty */
	bool dead;        /* to be closed now */
	uint64_t seen_ns; /* last sign of life */
	size_t in_len, out_len;
	char *out; /* grown as needed */
	char in[CTL_LINE_MAX];
};

struct ctl_server {
	struct loop *loop;
	int fd; /* -1: the door is closed */
	const struct ctl_server_ops *ops;
	void *arg;
	struct ctl_conn *conn[CTL_CLIENTS_MAX];
};

static void conn_free(struct ctl_conn *c)
{
	struct ctl_server *s = c->server;

	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (s->conn[i] == c)
			s->conn[i] = NULL;
	}
	loop_del(s->loop, c->fd);
	close(c->fd);
	if (c->held)
		s->ops->leave(s->arg, c, true);
	free(c->out);
	free(c);
}

static void conn_watch(struct ctl_conn *c)
{
	uint32_t events = 0;

	if (!c->eof && !c->closing && c->in_len < sizeof(c->in))
		events |= EPOLLIN;
	if (c->out_len)
		events |= EPOLLOUT;
	loop_mod(c->server->loop, c->fd, events);
}

static void conn_write(struct ctl_conn *c)
{
	ssize_t k;

	if (c->dead || !c->out_len)
		return;
	k = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (k > 0) {
		c->out_len -= (size_t)k;
		memmove(c->out, c->out + k, c->out_len);
	} else if (k < 0 && errno != EAGAIN && errno != EINTR) {
		c->dead = true;
	}
}

/* Queues a line and writes what the socket takes. A reader too far behind is dropped. */
static void conn_line(struct ctl_conn *c, json_t *j)
{
	char *line = j ? json_dumps(j, JSON_COMPACT) : NULL;
	size_t n = line ? strlen(line) + 1 : 0;
	char *grown = NULL;

	if (line && c->out_len + n <= CTL_OUT_MAX)
		grown = realloc(c->out, c->out_len + n);
	if (grown) {
		line[n - 1] = '\n';
		memcpy(grown + c->out_len, line, n);
		c->out = grown;
		c->out_len += n;
		conn_write(c);
	} else {
		c->dead = true;
	}
	if (c->dead)
		shutdown(c->fd, SHUT_RDWR); /* wakes the callback that frees it */
	else
		conn_watch(c);
	free(line);
	json_decref(j);
}

void ctl_conn_answer(struct ctl_conn *c, json_t *answer)
{
	if (c->held && c->eof)
		c->closing = true;
	c->held = false;
	c->seen_ns = clock_mono_ns();
	conn_line(c, answer);
	if (c->closing && !c->out_len)
		shutdown(c->fd, SHUT_RDWR);
}

void ctl_conn_refuse(struct ctl_conn *c, const struct err *e)
{
	ctl_conn_answer(c, ctl_error(e));
}

void ctl_conn_hold(struct ctl_conn *c)
{
	c->held = true;
}

void ctl_conn_event(struct ctl_conn *c, json_t *event)
{
	if (c->dead || c->out_len > SERVER_OUT_SOFT)
		json_decref(event);
	else
		conn_line(c, event);
}

static void conn_request(struct ctl_conn *c, const char *line, size_t n)
{
	struct err e = { 0 };
	json_error_t je;
	json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
	const char *op = json_string_value(json_object_get(j, "op"));

	if (!j)
		err_set(&e, -EPROTO, "the request is not JSON: %s", je.text);
	else if (!op)
		err_set(&e, -EPROTO, "the request is not an object with a string 'op'");
	else if (c->held)
		err_set(&e, -EBUSY, "this connection's request before is not answered yet");
	if (!e.code)
		c->server->ops->request(c->server->arg, c, op, j);
	else if (c->held)
		conn_line(c, ctl_error(&e));
	else
		ctl_conn_refuse(c, &e);
	json_decref(j);
}

/* Works through the lines that have arrived, as long as the reader keeps up. */
static void conn_parse(struct ctl_conn *c)
{
	while (!c->dead && !c->closing && c->out_len <= SERVER_OUT_SOFT) {
		char *nl = memchr(c->in, '\n', c->in_len);
		size_t n;

		if (!nl)
			break;
		n = (size_t)(nl - c->in);
		conn_request(c, c->in, n);
		c->in_len -= n + 1;
		memmove(c->in, nl + 1, c->in_len);
	}
	if (c->in_len == sizeof(c->in) && !memchr(c->in, '\n', c->in_len) && !c->closing) {
		struct err e;

		err_set(&e, -EMSGSIZE, "the request is longer than %u bytes", CTL_LINE_MAX);
		c->closing = true;
		conn_line(c, ctl_error(&e));
	}
	if (c->eof && !c->held && !memchr(c->in, '\n', c->in_len))
		c->closing = true;
}

static void conn_read(struct ctl_conn *c)
{
	ssize_t k;

	if (c->eof || c->in_len == sizeof(c->in))
		return;
	k = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (k > 0) {
		c->in_len += (size_t)k;
		c->seen_ns = clock_mono_ns();
	} else if (k == 0) {
		c->eof = true;
		if (c->held)
			c->server->ops->leave(c->server->arg, c, false);
	} else if (errno != EAGAIN && errno != EINTR) {
		c->dead = true;
	}
}

static void conn_event(void *arg, uint32_t events)
{
	struct ctl_conn *c = arg;

	if (events & (EPOLLIN | EPOLLHUP))
		conn_read(c);
	conn_write(c);
	conn_parse(c);
	if (events & EPOLLERR)
		c->dead = true;
	/* after a hang-up nobody reads answers any more; what was asked has been done above */
	if (events & EPOLLHUP && (c->eof || c->closing))
		c->dead = true;
	if (c->dead || (c->closing && !c->out_len))
		conn_free(c);
	else
		conn_watch(c);
}

/* A free slot, made by dropping the client that has been idle longest if need be; or -1. */
static int server_slot(struct ctl_server *s)
{
	int oldest = -1;

	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		struct ctl_conn *c = s->conn[i];

		if (!c)
			return i;
		if (!c->held && (oldest < 0 || c->seen_ns < s->conn[oldest]->seen_ns))
			oldest = i;
	}
	if (oldest >= 0)
		conn_free(s->conn[oldest]);
	return oldest;
}

static void server_accept(void *arg, uint32_t events)
{
	struct ctl_server *s = arg;
	struct ctl_conn *c;
	int fd, slot;

	(void)events;
	fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	slot = server_slot(s);
	c = slot >= 0 ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	c->seen_ns = clock_mono_ns();
	if (loop_add(s->loop, fd, EPOLLIN, conn_event, c, NULL) < 0) {
		close(fd);
		free(c);
		return;
	}
	s->conn[slot] = c;
}

int ctl_server_new(struct ctl_server **out, struct loop *l, int listen_fd,
	const struct ctl_server_ops *ops, void *arg, struct err *e)
{
	struct ctl_server *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s) {
		close(listen_fd);
		return err_set(e, -ENOMEM, "no memory for the control socket");
	}
	s->loop = l;
	s->fd = listen_fd;
	s->ops = ops;
	s->arg = arg;
	if (loop_add(l, listen_fd, EPOLLIN, server_accept, s, e) < 0) {
		close(listen_fd);
		free(s);
		return e ? e->code : -EIO;
	}
	*out = s;
	return 0;
}

void ctl_server_close_door(struct ctl_server *s)
{
	if (s->fd < 0)
		return;
	loop_del(s->loop, s->fd);
	close(s->fd);
	s->fd = -1;
}

void ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return;
	ctl_server_close_door(s);
	for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
		if (s->conn[i])
			conn_free(s->conn[i]);
	}
	free(s);
}

void ctl_server_drain(struct ctl_server *s, int timeout_ms)
{
	uint64_t end = clock_mono_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	for (;;) {
		struct pollfd p[CTL_CLIENTS_MAX];
		uint64_t now = clock_mono_ns();
		nfds_t n = 0;

		for (int i = 0; i < CTL_CLIENTS_MAX; i++) {
			struct ctl_conn *c = s->conn[i];

			if (c)
				conn_write(c);
			if (c && c->out_len && !c->dead)
				p[n++] = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
		}
		if (n == 0 || now >= end)
			return;
		poll(p, n, (int)((end - now) / NSEC_PER_MSEC) + 1);
	}
}
