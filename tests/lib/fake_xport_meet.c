/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns how two ends of the in-memory transport find each other: a list of listeners of this
 * process, by port. The list is the one global of the test library; it stands for the host's own
 * port table.
 * Invariant: a listener is on the list from listen() to the end of accept(), and nothing points to
 * it after that.
 * Next in the flow: fake_xport.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hv/base/clock.h"
#include "tests/lib/fake_xport_link.h"

#define FAKE_LOOK_NS (10 * NSEC_PER_MSEC)

struct xport_listener {
	struct xport_listener *next;
	struct xport_addr addr;
	struct fake_link *link; /* set by connect(), taken by accept() */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct xport_listener *list;
	uint16_t next_port;
} fake_ports = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.next_port = 40000,
};

/* Waits for a change of the list; false once @deadline (CLOCK_REALTIME, as the static cond) is
 * past. */
static bool fake_wait(const struct timespec *deadline)
{
	return pthread_cond_timedwait(&fake_ports.changed, &fake_ports.lock, deadline) != ETIMEDOUT;
}

static struct timespec fake_deadline(uint64_t timeout_ns)
{
	uint64_t at = clock_real_ns() + timeout_ns;

	return (struct timespec){ (time_t)(at / NSEC_PER_SEC), (long)(at % NSEC_PER_SEC) };
}

static struct xport_listener *fake_find(uint16_t port)
{
	struct xport_listener *l = fake_ports.list;

	while (l && l->addr.port != port)
		l = l->next;
	return l;
}

int fake_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e)
{
	struct xport_listener *l = calloc(1, sizeof(*l));
	int r = 0;

	if (!l)
		return err_set(e, -ENOMEM, "no memory for a listener");
	pthread_mutex_lock(&fake_ports.lock);
	if (addr->port == 0)
		addr->port = fake_ports.next_port++;
	if (fake_find(addr->port)) {
		r = err_set(e, -EADDRINUSE, "cannot listen on port %u: already in use", addr->port);
		free(l);
	} else {
		l->addr = *addr;
		l->next = fake_ports.list;
		fake_ports.list = l;
		*out = l;
	}
	pthread_mutex_unlock(&fake_ports.lock);
	return r;
}

static void fake_unlist(struct xport_listener *l)
{
	struct xport_listener **p = &fake_ports.list;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l);
	pthread_cond_broadcast(&fake_ports.changed);
}

/* True if the lifeline of the listener's address has ended. */
static bool fake_cut(const struct xport_listener *l)
{
	struct pollfd p = { .fd = l->addr.lifeline, .events = POLLRDHUP };

	return l->addr.lifeline > 0 && poll(&p, 1, 0) > 0;
}

/* As fake_wait(), but looks at the lifeline now and then: no condition tells of its end. */
static bool fake_wait_lifeline(const struct xport_listener *l, const struct timespec *deadline)
{
	struct timespec soon = fake_deadline(FAKE_LOOK_NS);

	if (l->addr.lifeline <= 0 || soon.tv_sec > deadline->tv_sec ||
		(soon.tv_sec == deadline->tv_sec && soon.tv_nsec > deadline->tv_nsec))
		return fake_wait(deadline);
	fake_wait(&soon);
	return true;
}

int fake_accept(struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	struct timespec deadline = fake_deadline(timeout_ns);
	int r = 0;

	pthread_mutex_lock(&fake_ports.lock);
	while (!l->link && !fake_cut(l) && fake_wait_lifeline(l, &deadline))
		;
	if (l->link)
		*out = &l->link->end[1];
	else if (fake_cut(l))
		r = err_set(e, -ECONNRESET, "the source has ended the move");
	else
		r = err_set(e, -ETIMEDOUT, "nobody connected to port %u", l->addr.port);
	fake_unlist(l);
	pthread_mutex_unlock(&fake_ports.lock);
	return r;
}

/* Waits until accept() took @mine (the listener left the list) or time is up. */
static int fake_await_accept(uint16_t port, struct fake_link *mine, const struct timespec *deadline)
{
	for (;;) {
		struct xport_listener *l = fake_find(port);

		if (!l || l->link != mine)
			return 0;
		if (!fake_wait(deadline)) {
			l = fake_find(port);
			if (!l || l->link != mine)
				return 0;
			l->link = NULL;
			return -ETIMEDOUT;
		}
	}
}

int fake_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	struct timespec deadline = fake_deadline(timeout_ns);
	struct fake_link *link = fake_link_new();
	struct xport_listener *l;
	int r = 0;

	if (!link)
		return err_set(e, -ENOMEM, "no memory for a connection");
	pthread_mutex_lock(&fake_ports.lock);
	l = fake_find(addr->port);
	if (!l || l->link) {
		r = err_set(e, -ECONNREFUSED, "cannot connect to port %u: Connection refused",
			addr->port);
		goto out;
	}
	if (memcmp(l->addr.token, addr->token, XPORT_TOKEN_SIZE) != 0 ||
		l->addr.streams != addr->streams) {
		r = err_set(e, -ECONNREFUSED, "port %u did not accept the token", addr->port);
		goto out;
	}
	l->link = link;
	pthread_cond_broadcast(&fake_ports.changed);
	r = fake_await_accept(addr->port, link, &deadline);
	if (r)
		err_set(e, r, "no answer from port %u in time", addr->port);
	else
		*out = &link->end[0];
out:
	pthread_mutex_unlock(&fake_ports.lock);
	if (r)
		fake_link_free(link);
	return r;
}

int fake_xport_pair(struct xport **source, struct xport **target)
{
	struct fake_link *l = fake_link_new();

	if (!l)
		return -ENOMEM;
	*source = &l->end[0];
	*target = &l->end[1];
	return 0;
}
