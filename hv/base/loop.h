/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: epoll over descriptors, owned by one thread. Other threads reach it
 * only by writing to an eventfd that the loop watches.
 */
#ifndef WATARI_BASE_LOOP_H
#define WATARI_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "hv/base/err.h"

struct loop;

/* What loop_wait() found. */
struct loop_ready {
	int n;
	struct epoll_event ev[32];
};

/* Called on the loop's thread. @events are EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. */
typedef void (*loop_fn)(void *arg, uint32_t events);

struct loop *loop_new(struct err *e); /* NULL on failure */
void loop_free(struct loop *l);       /* closes no watched descriptor */

/* Watches @fd, which stays the caller's. One watch per descriptor. */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn fn, void *arg, struct err *e);
/* Changes the events of a watched descriptor. */
void loop_mod(struct loop *l, int fd, uint32_t events);
/* Ends the watch; safe inside a callback, also for a descriptor with a callback still pending. */
void loop_del(struct loop *l, int fd);

/* Runs callbacks until loop_stop(). Returns what loop_stop() was given. */
int loop_run(struct loop *l);
/* Waits up to @timeout_ms (-1: no limit) once and runs what is ready. Returns how many ran. */
int loop_once(struct loop *l, int timeout_ms);
/*
 * loop_once() in two halves, for a loop that is shared under a lock: loop_wait() outside of it, and
 * loop_dispatch() inside, which returns how many ran. A watch that was deleted or replaced between
 * the two is not called; one that was not may find its descriptor no longer ready.
 */
void loop_wait(struct loop *l, struct loop_ready *r, int timeout_ms);
int loop_dispatch(struct loop *l, const struct loop_ready *r);
/* A descriptor that is readable while loop_once() has something to run. */
int loop_fd(const struct loop *l);
/* On the loop's thread only. */
void loop_stop(struct loop *l, int result);

#endif
