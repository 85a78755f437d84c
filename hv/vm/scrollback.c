/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the ring of a console's last bytes (see scrollback.h). Must never make a system call under
 * the lock but the one that wakes the reader, which does not wait.
 * Next in the flow: devices.c writes, hv/ctl/console.c reads.
 */
#include "hv/vm/scrollback.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct scrollback {
	int fd;
	/* under the lock */
	pthread_mutex_t lock;
	uint64_t total; /* bytes ever written; byte number i is at ring[i % SCROLLBACK_SIZE] */
	uint64_t start; /* number of the oldest byte that is kept */
	bool watched, told;
	uint8_t ring[SCROLLBACK_SIZE];
};

int scrollback_new(struct scrollback **out, struct err *e)
{
	struct scrollback *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return err_set(e, -ENOMEM, "no memory for the console's scrollback");
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0) {
		free(s);
		return err_errno(e, "cannot make an event descriptor");
	}
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return 0;
}

void scrollback_free(struct scrollback *s)
{
	if (!s)
		return;
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Into or out of the ring, from byte number @at on; @n is at most its size. */
static void scrollback_copy_in(struct scrollback *s, uint64_t at, const uint8_t *p, size_t n)
{
	size_t first = SCROLLBACK_SIZE - at % SCROLLBACK_SIZE;

	first = first < n ? first : n;
	memcpy(s->ring + at % SCROLLBACK_SIZE, p, first);
	memcpy(s->ring, p + first, n - first);
}

static void scrollback_copy_out(const struct scrollback *s, uint64_t at, uint8_t *p, size_t n)
{
	size_t first = SCROLLBACK_SIZE - at % SCROLLBACK_SIZE;

	first = first < n ? first : n;
	memcpy(p, s->ring + at % SCROLLBACK_SIZE, first);
	memcpy(p + first, s->ring, n - first);
}

void scrollback_write(struct scrollback *s, const void *p, size_t n)
{
	const uint8_t *bytes = p;
	uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	if (n > SCROLLBACK_SIZE) { /* only the end will be kept */
		s->total += n - SCROLLBACK_SIZE;
		bytes += n - SCROLLBACK_SIZE;
		n = SCROLLBACK_SIZE;
	}
	scrollback_copy_in(s, s->total, bytes, n);
	s->total += n;
	if (s->total - s->start > SCROLLBACK_SIZE)
		s->start = s->total - SCROLLBACK_SIZE;
	/* Once is enough until the reader has come: a line is one wake-up, not one for each byte.
	 */
	if (n && s->watched && !s->told) {
		s->told = true;
		(void)!write(s->fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&s->lock);
}

int scrollback_fd(const struct scrollback *s)
{
	return s->fd;
}

void scrollback_watch(struct scrollback *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->watched = on;
	pthread_mutex_unlock(&s->lock);
}

void scrollback_told(struct scrollback *s)
{
	uint64_t count;

	pthread_mutex_lock(&s->lock);
	(void)!read(s->fd, &count, sizeof(count));
	s->told = false;
	pthread_mutex_unlock(&s->lock);
}

uint64_t scrollback_start(struct scrollback *s)
{
	uint64_t start;

	pthread_mutex_lock(&s->lock);
	start = s->start;
	pthread_mutex_unlock(&s->lock);
	return start;
}

size_t scrollback_read(struct scrollback *s, uint64_t *pos, void *dst, size_t max, uint64_t *lost)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	*lost = *pos < s->start ? s->start - *pos : 0;
	*pos += *lost;
	n = s->total - *pos < max ? (size_t)(s->total - *pos) : max;
	scrollback_copy_out(s, *pos, dst, n);
	pthread_mutex_unlock(&s->lock);
	return n;
}

void scrollback_save(struct scrollback *s, struct wbuf *w)
{
	uint8_t last[SCROLLBACK_TRAVEL];
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = (size_t)(s->total - s->start);
	n = n < sizeof(last) ? n : sizeof(last);
	scrollback_copy_out(s, s->total - n, last, n);
	pthread_mutex_unlock(&s->lock);
	wbuf_u32(w, (uint32_t)n);
	wbuf_bytes(w, last, n);
}

void scrollback_load(struct scrollback *s, struct rbuf *r)
{
	uint32_t n = rbuf_u32(r);
	const void *p;

	if (n > SCROLLBACK_TRAVEL) {
		r->failed = true;
		return;
	}
	p = rbuf_bytes(r, n);
	if (p && s)
		scrollback_write(s, p, n);
}
