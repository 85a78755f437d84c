/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: epoll over descriptors, owned by one thread. Other threads reach it
 * only by writing to an eventfd that the loop watches.
 */
#ifndef WATARI_BASE_LOOP_H
#define WATARI_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

struct loop;

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
 * A descriptor that is readable while loop_once() has something to run. With it a loop can be
 * shared under a lock: wait for it outside, run loop_once(l, 0) inside.
 */
int loop_fd(const struct loop *l);
/* On the loop's thread only. */
void loop_stop(struct loop *l, int result);

#endif
