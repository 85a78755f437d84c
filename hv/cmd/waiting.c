/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the connections of the waiting room (see waiting.h). Must never read from one.
 * Invariant: every descriptor here is in the loop, and in one place only.
 * Next in the flow: receive.c.
 */
#include "hv/cmd/waiting.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hv/base/clock.h"

struct waiting_one {
	struct waiting *w;
	int fd; /* -1: free */
	uint64_t deadline;
};

struct waiting {
	struct loop *loop;
	const struct waiting_ends *ends;
	void *arg;
	int timer; /* ticks once a second while there is anything to look after */
	bool ticking;
	struct waiting_one one[WAITING_MAX];
};

static int waiting_leave(struct waiting_one *o)
{
	int fd = o->fd;

	loop_del(o->w->loop, fd);
	o->fd = -1;
	return fd;
}

static void waiting_show_out(struct waiting_one *o, const char *why)
{
	int fd = waiting_leave(o);

	o->w->ends->shown_out(o->w->arg, fd, why);
	close(fd);
}

static void waiting_wind(struct waiting *w)
{
	const struct itimerspec second = { .it_value.tv_sec = 1 };

	if (!w->ticking)
		w->ticking = timerfd_settime(w->timer, 0, &second, NULL) == 0;
}

static void waiting_tick(void *arg, uint32_t events)
{
	struct waiting *w = arg;
	uint64_t now = clock_mono_ns(), count;
	bool left = false;

	(void)events;
	if (read(w->timer, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < WAITING_MAX; i++) {
		if (w->one[i].fd >= 0 && w->one[i].deadline <= now)
			waiting_show_out(&w->one[i], "it said nothing");
		left |= w->one[i].fd >= 0;
	}
	w->ticking = false;
	if (left)
		waiting_wind(w);
}

int waiting_new(struct waiting **out, struct loop *l, const struct waiting_ends *ends, void *arg,
	struct err *e)
{
	struct waiting *w = calloc(1, sizeof(*w));

	*out = w;
	if (!w)
		return err_set(e, -ENOMEM, "no memory for connections");
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer < 0 || loop_add(l, w->timer, EPOLLIN, waiting_tick, w, e) < 0)
		return err_errno(e, "cannot make a timer for connections");
	w->loop = l;
	w->ends = ends;
	w->arg = arg;
	for (unsigned i = 0; i < WAITING_MAX; i++)
		w->one[i] = (struct waiting_one){ .w = w, .fd = -1 };
	return 0;
}

static void waiting_news(void *arg, uint32_t events)
{
	struct waiting_one *o = arg;

	(void)events; /* also an end: whoever takes it finds that out as the first thing */
	o->w->ends->spoken(o->w->arg, waiting_leave(o));
}

void waiting_add(struct waiting *w, int fd)
{
	struct waiting_one *o = NULL, *oldest = &w->one[0];

	for (unsigned i = 0; i < WAITING_MAX && !o; i++) {
		if (w->one[i].fd < 0)
			o = &w->one[i];
		else if (w->one[i].deadline < oldest->deadline)
			oldest = &w->one[i];
	}
	if (!o) {
		o = oldest;
		waiting_show_out(o, "it had said nothing when another needed its place");
	}
	if (loop_add(w->loop, fd, EPOLLIN | EPOLLRDHUP, waiting_news, o, NULL) < 0) {
		w->ends->shown_out(w->arg, fd, "this host cannot watch another connection");
		close(fd);
		return;
	}
	o->fd = fd;
	o->deadline = clock_mono_ns() + WAITING_NS;
	waiting_wind(w);
}
