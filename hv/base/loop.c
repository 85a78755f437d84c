/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the epoll descriptor and the table of watches (see loop.h).
 * Invariant: watches are indexed by descriptor; an event whose watch was removed (or replaced)
 * since epoll_wait() is recognised by its generation and dropped, so a callback may delete any
 * watch, its own included.
 */
#include "hv/base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct loop_watch {
	loop_fn fn;
	void *arg;
	uint32_t gen; /* 0: free */
};

struct loop {
	int epfd;
	struct loop_watch *watch; /* indexed by descriptor */
	size_t nwatch;
	uint32_t gen;
	bool stop;
	int result;
};

struct loop *loop_new(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(e, -ENOMEM, "no memory for the event loop");
		return NULL;
	}
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		err_errno(e, "cannot create the event loop");
		free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	close(l->epfd);
	free(l->watch);
	free(l);
}

static int loop_grow(struct loop *l, size_t n)
{
	struct loop_watch *w;

	if (n <= l->nwatch)
		return 0;
	n += 16;
	w = realloc(l->watch, n * sizeof(*w));
	if (!w)
		return -ENOMEM;
	memset(w + l->nwatch, 0, (n - l->nwatch) * sizeof(*w));
	l->watch = w;
	l->nwatch = n;
	return 0;
}

static struct epoll_event loop_event(const struct loop *l, int fd, uint32_t events)
{
	uint64_t key = (uint64_t)l->watch[fd].gen << 32 | (uint32_t)fd;

	return (struct epoll_event){ .events = events, .data.u64 = key };
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg, struct err *e)
{
	struct epoll_event ev;

	if (loop_grow(l, (size_t)fd + 1))
		return err_set(e, -ENOMEM, "no memory to watch a descriptor");
	if (++l->gen == 0)
		l->gen = 1;
	l->watch[fd] = (struct loop_watch){ .fn = fn, .arg = arg, .gen = l->gen };
	ev = loop_event(l, fd, events);
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		l->watch[fd].gen = 0;
		return err_errno(e, "cannot watch descriptor %d", fd);
	}
	return 0;
}

void loop_mod(struct loop *l, int fd, uint32_t events)
{
	struct epoll_event ev = loop_event(l, fd, events);

	epoll_ctl(l->epfd, EPOLL_CTL_MOD, fd, &ev);
}

void loop_del(struct loop *l, int fd)
{
	if (fd < 0 || (size_t)fd >= l->nwatch || l->watch[fd].gen == 0)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
	l->watch[fd].gen = 0;
}

void loop_wait(struct loop *l, struct loop_ready *r, int timeout_ms)
{
	r->n = epoll_wait(l->epfd, r->ev, sizeof(r->ev) / sizeof(r->ev[0]), timeout_ms);
}

int loop_dispatch(struct loop *l, const struct loop_ready *r)
{
	int ran = 0;

	for (int i = 0; i < r->n; i++) {
		uint32_t fd = (uint32_t)r->ev[i].data.u64;
		uint32_t gen = (uint32_t)(r->ev[i].data.u64 >> 32);
		struct loop_watch w = l->watch[fd];

		if (w.gen != gen)
			continue; /* deleted by an earlier callback of this batch, or since then */
		w.fn(w.arg, r->ev[i].events);
		ran++;
	}
	return ran;
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct loop_ready r;

	loop_wait(l, &r, timeout_ms);
	return loop_dispatch(l, &r);
}

int loop_fd(const struct loop *l)
{
	return l->epfd;
}

int loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop)
		loop_once(l, -1);
	return l->result;
}

void loop_stop(struct loop *l, int result)
{
	l->stop = true;
	l->result = result;
}
