/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the output queue of the serial line and the thread that writes it (see console.h). Must
 * never hold the lock over a system call that waits, nor change the mode of a descriptor that is
 * shared with other processes: O_NONBLOCK on our caller's terminal would be his too.
 * Next in the flow: devices.c.
 */
#include "hv/vm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"

#define CONSOLE_QUEUE    (256u << 10) /* bytes */
#define CONSOLE_CHUNK    4096u        /* a pipe that polls writable takes this much at once */
#define CONSOLE_DRAIN_NS (NSEC_PER_SEC / 2)

struct console {
	int fd; /* -1: output is dropped */
	int wake_fd;
	pthread_t thread;
	bool threaded, complained;
	/* under the lock */
	pthread_mutex_t lock;
	uint8_t *queue; /* a ring */
	size_t head, len;
	uint64_t lost; /* bytes dropped since the last notice */
	bool quit;
};

/* A descriptor of our own for standard output, not blocking where that can matter. */
static int console_open_stdout(struct err *e)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &st) < 0)
		return err_errno(e, "cannot use standard output for the serial line");
	/* Opening it anew gives pipes and terminals a mode of their own. A file is only duplicated:
	 * others write to it at the shared position. */
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd >= 0 ? fd : err_errno(e, "cannot use standard output for the serial line");
}

static int console_open(const char *spec, struct err *e)
{
	int fd;

	if (strcmp(spec, "stdio") == 0)
		return console_open_stdout(e);
	/* O_NONBLOCK: a FIFO without a reader is an error now, not a wait. */
	fd = open(spec + strlen("file:"),
		O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	return fd >= 0 ? fd
		       : err_errno(e, "cannot open '%s' for the serial line's output",
				 spec + strlen("file:"));
}

/* Copies the first bytes of the queue, without taking them. */
static size_t console_peek(struct console *c, uint8_t *dst, size_t max)
{
	size_t n, first;

	pthread_mutex_lock(&c->lock);
	n = c->len < max ? c->len : max;
	first = CONSOLE_QUEUE - c->head < n ? CONSOLE_QUEUE - c->head : n;
	memcpy(dst, c->queue + c->head, first);
	memcpy(dst + first, c->queue, n - first);
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void console_put(struct console *c, const uint8_t *p, size_t n)
{
	size_t tail = (c->head + c->len) % CONSOLE_QUEUE;
	size_t first = CONSOLE_QUEUE - tail < n ? CONSOLE_QUEUE - tail : n;

	memcpy(c->queue + tail, p, first);
	memcpy(c->queue, p + first, n - first);
	c->len += n;
}

static void console_take(struct console *c, size_t n)
{
	char notice[64];
	int k = 0;

	pthread_mutex_lock(&c->lock);
	c->head = (c->head + n) % CONSOLE_QUEUE;
	c->len -= n;
	if (c->lost && CONSOLE_QUEUE - c->len > sizeof(notice)) {
		k = snprintf(notice, sizeof(notice), "\r\n[%llu bytes of output lost]\r\n",
			(unsigned long long)c->lost);
		c->lost = 0;
		console_put(c, (const uint8_t *)notice, (size_t)k);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Writes one chunk if the other side takes it. True if it did, or never will. */
static bool console_flush_some(struct console *c, size_t n, const uint8_t *chunk)
{
	ssize_t done = write(c->fd, chunk, n);

	if (done < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (done < 0) {
		/* A full disk, or a pipe nobody reads any more: the guest must not care. */
		if (!c->complained)
			log_warn("serial output is lost: %s", strerror(errno));
		c->complained = true;
		done = (ssize_t)n;
	}
	console_take(c, (size_t)done);
	return true;
}

static void *console_thread(void *arg)
{
	struct console *c = arg;
	uint8_t chunk[CONSOLE_CHUNK];
	uint64_t until = 0, count;
	struct pollfd pfd[2] = { { .fd = c->wake_fd, .events = POLLIN },
		{ .fd = c->fd, .events = POLLOUT } };

	for (;;) {
		size_t n = console_peek(c, chunk, sizeof(chunk));
		bool quit;

		pthread_mutex_lock(&c->lock);
		quit = c->quit;
		pthread_mutex_unlock(&c->lock);
		if (quit && until == 0)
			until = clock_mono_ns() + CONSOLE_DRAIN_NS;
		if (quit && (n == 0 || clock_mono_ns() > until))
			return NULL;
		/* Without data only the wake-up matters; while quitting only the other side. */
		pfd[0].fd = quit ? -1 : c->wake_fd;
		pfd[1].fd = n ? c->fd : -1;
		if (poll(pfd, 2, quit ? 20 : -1) <= 0)
			continue;
		if (!quit && pfd[0].revents)
			(void)!read(c->wake_fd, &count, sizeof(count));
		if (n && pfd[1].revents)
			console_flush_some(c, n, chunk);
	}
}

static void console_wake(struct console *c)
{
	uint64_t one = 1;

	(void)!write(c->wake_fd, &one, sizeof(one));
}

void console_write(struct console *c, const uint8_t *p, size_t n)
{
	bool was_empty;

	if (c->fd < 0)
		return;
	pthread_mutex_lock(&c->lock);
	was_empty = c->len == 0;
	if (CONSOLE_QUEUE - c->len < n)
		c->lost += n;
	else
		console_put(c, p, n);
	pthread_mutex_unlock(&c->lock);
	/* A queue that was not empty has a thread at work on it already. */
	if (was_empty)
		console_wake(c);
}

static int console_start(struct console *c, struct err *e)
{
	sigset_t all, old;
	int rc;

	c->queue = malloc(CONSOLE_QUEUE);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!c->queue || c->wake_fd < 0)
		return err_set(e, -ENOMEM, "no memory for the serial line's output");
	/* Signals are the main thread's; SIGPIPE of a closed pipe becomes EPIPE here. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&c->thread, NULL, console_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_set(e, -rc, "cannot start the serial line's thread: %s", strerror(rc));
	pthread_setname_np(c->thread, "serial-out");
	c->threaded = true;
	return 0;
}

int console_new(struct console **out, const char *spec, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));
	int rc = 0;

	if (!c)
		return err_set(e, -ENOMEM, "no memory for the serial line's output");
	pthread_mutex_init(&c->lock, NULL);
	c->fd = c->wake_fd = -1;
	if (strcmp(spec, "none") != 0 && strcmp(spec, "socket") != 0) {
		rc = console_open(spec, e);
		c->fd = rc;
		if (rc >= 0)
			rc = console_start(c, e);
	}
	if (rc < 0) {
		console_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	if (c->threaded) {
		pthread_mutex_lock(&c->lock);
		c->quit = true;
		pthread_mutex_unlock(&c->lock);
		console_wake(c);
		pthread_join(c->thread, NULL);
	}
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	if (c->fd >= 0)
		close(c->fd);
	pthread_mutex_destroy(&c->lock);
	free(c->queue);
	free(c);
}
