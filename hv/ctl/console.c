/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the viewers of a guest's console (see console.h). Must never block, nor read what is typed
 * before there is room for it.
 * Invariant: what a viewer has not been sent is in the scrollback, or lost and told; what it has
 * typed and the guest's side has not taken is in its socket.
 * Next in the flow: guest.c.
 */
#include "hv/ctl/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/ctl/claim.h"

#define CONSOLE_CHUNK 4096u
#define CONSOLE_TURN  16 /* chunks to one viewer before others have their turn */

struct viewer {
	struct ctl_console *console;
	int fd; /* -1: free */
	uint64_t pos;
	uint64_t lost; /* bytes it missed and was not told of */
	bool full;     /* its socket is: it waits for EPOLLOUT */
	bool held;     /* there was no room for what it types: not read until there is */
	bool left;     /* it hung up while held: not watched, only kept for what it had typed */
};

struct ctl_console {
	struct loop *loop;
	int fd;
	struct scrollback *scroll;
	struct ctl_console_input input;
	struct viewer viewer[CTL_VIEWERS_MAX];
	unsigned viewers;
};

static void viewer_close(struct viewer *v)
{
	struct ctl_console *c = v->console;

	loop_del(c->loop, v->fd);
	close(v->fd);
	v->fd = -1;
	if (--c->viewers == 0)
		scrollback_watch(c->scroll, false);
}

static void viewer_watch(struct viewer *v)
{
	loop_mod(v->console->loop, v->fd,
		(v->held ? 0u : (uint32_t)EPOLLIN) | (v->full ? (uint32_t)EPOLLOUT : 0u));
}

/* Tells a viewer what it missed: false if there is no room for that. */
static bool viewer_notice(struct viewer *v)
{
	char notice[64];
	int n = snprintf(notice, sizeof(notice), "\r\n[%llu bytes of output lost]\r\n",
		(unsigned long long)v->lost);

	if (v->lost && send(v->fd, notice, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		return false;
	v->lost = 0;
	return true;
}

/* One chunk: 1 there may be more, 0 there is no more or no room, -1 the viewer is gone. */
static int viewer_send(struct viewer *v)
{
	char chunk[CONSOLE_CHUNK];
	uint64_t lost;
	size_t n = scrollback_read(v->console->scroll, &v->pos, chunk, sizeof(chunk), &lost);
	ssize_t k;

	v->lost += lost;
	if (n == 0)
		return 0;
	v->full = !viewer_notice(v);
	if (v->full)
		return 0;
	k = send(v->fd, chunk, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (k < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	if (k > 0)
		v->pos += (uint64_t)k;
	v->full = k < (ssize_t)n;
	return !v->full;
}

/* Sends what there is. Watches for room only while there is none: 0, or -1 the viewer is gone. */
static int viewer_pump(struct viewer *v)
{
	int rc = 1;

	v->full = false;
	for (int i = 0; rc > 0 && i < CONSOLE_TURN; i++)
		rc = viewer_send(v);
	if (rc < 0)
		return rc;
	v->full |= rc > 0; /* its turn is over, not its output */
	viewer_watch(v);
	return 0;
}

/* Takes what it has typed, as far as there is room. False: it is gone, and there is no more. */
static bool viewer_type(struct viewer *v)
{
	const struct ctl_console_input *in = &v->console->input;
	char typed[512];
	size_t room = in->room(in->arg);
	ssize_t k;

	v->held = room == 0;
	if (v->held)
		return true;
	k = recv(v->fd, typed, room < sizeof(typed) ? room : sizeof(typed), MSG_DONTWAIT);
	if (k > 0)
		in->take(in->arg, typed, (size_t)k);
	return k > 0 || (k < 0 && (errno == EAGAIN || errno == EINTR));
}

static void viewer_event(void *arg, uint32_t events)
{
	struct viewer *v = arg;
	bool held = v->held;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		if (!viewer_type(v)) {
			viewer_close(v);
			return;
		}
		if (v->held && (events & (EPOLLHUP | EPOLLERR))) {
			/* Nobody is there to be sent anything, and the loop would tell that for
			 * ever. */
			v->left = true;
			loop_del(v->console->loop, v->fd);
			return;
		}
		if (v->held != held)
			viewer_watch(v);
	}
	if ((events & EPOLLOUT) && viewer_pump(v) < 0)
		viewer_close(v);
}

static void console_news(void *arg, uint32_t events)
{
	struct ctl_console *c = arg;

	(void)events;
	scrollback_told(c->scroll);
	for (int i = 0; i < CTL_VIEWERS_MAX; i++) {
		struct viewer *v = &c->viewer[i];

		if (v->fd >= 0 && !v->left && !v->full && viewer_pump(v) < 0)
			viewer_close(v);
	}
}

void ctl_console_room(struct ctl_console *c)
{
	for (int i = 0; c && i < CTL_VIEWERS_MAX; i++) {
		struct viewer *v = &c->viewer[i];

		if (v->fd < 0 || !v->held)
			continue;
		v->held = false;
		if (!v->left)
			viewer_watch(v);
		while (v->fd >= 0 && v->left && !v->held) {
			if (!viewer_type(v))
				viewer_close(v);
		}
	}
}

/* A place for one more: a free one, or that of one who left while the guest took nothing. */
static struct viewer *console_place(struct ctl_console *c)
{
	struct viewer *left = NULL;

	for (struct viewer *v = c->viewer; v < c->viewer + CTL_VIEWERS_MAX; v++) {
		if (v->fd < 0)
			return v;
		if (v->left)
			left = v;
	}
	if (left) {
		log_warn(
			"console input is dropped: the guest does not read, and who typed it left");
		viewer_close(left);
	}
	return left;
}

static void console_turn_away(int fd)
{
	static const char why[] = "[too many are attached to this console]\r\n";

	(void)!send(fd, why, sizeof(why) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void console_accept(void *arg, uint32_t events)
{
	struct ctl_console *c = arg;
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct viewer *v;

	(void)events;
	if (fd < 0)
		return;
	v = console_place(c);
	if (!v || loop_add(c->loop, fd, EPOLLIN, viewer_event, v, NULL) < 0) {
		console_turn_away(fd);
		return;
	}
	*v = (struct viewer){ .console = c, .fd = fd };
	if (c->viewers++ == 0)
		scrollback_watch(c->scroll, true);
	v->pos = scrollback_start(c->scroll);
	if (viewer_pump(v) < 0)
		viewer_close(v);
}

int ctl_console_new(struct ctl_console **out, struct loop *l, int fd, struct scrollback *s,
	const struct ctl_console_input *input, struct err *e)
{
	struct ctl_console *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c) {
		close(fd);
		return err_set(e, -ENOMEM, "no memory for the console's socket");
	}
	*c = (struct ctl_console){ .loop = l, .fd = fd, .scroll = s, .input = *input };
	for (int i = 0; i < CTL_VIEWERS_MAX; i++)
		c->viewer[i] = (struct viewer){ .console = c, .fd = -1 };
	rc = loop_add(l, fd, EPOLLIN, console_accept, c, e);
	if (rc == 0)
		rc = loop_add(l, scrollback_fd(s), EPOLLIN, console_news, c, e);
	if (rc < 0) {
		ctl_console_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void ctl_console_free(struct ctl_console *c)
{
	if (!c)
		return;
	for (int i = 0; i < CTL_VIEWERS_MAX; i++) {
		if (c->viewer[i].fd < 0)
			continue;
		if (!c->viewer[i].left)
			(void)viewer_pump(&c->viewer[i]);
		viewer_close(&c->viewer[i]);
	}
	loop_del(c->loop, scrollback_fd(c->scroll));
	loop_del(c->loop, c->fd);
	close(c->fd);
	free(c);
}

int ctl_console_connect(const char *dir, const char *name, struct err *e)
{
	int dir_fd, fd = -ENOENT;

	dir = dir ? dir : ctl_runtime_dir();
	if (!ctl_name_ok(name))
		return err_set(e, -EINVAL,
			"name '%s' is not 1 to %d letters, digits, '.', '_' or '-'", name,
			CTL_NAME_MAX - 1);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd >= 0) {
		fd = ctl_claim_connect_console(dir_fd, name);
		close(dir_fd);
	}
	if (fd >= 0)
		return fd;
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, fd,
			"there is no console of a guest named '%s' in %s: no such guest, or it runs "
			"with --serial=none",
			name, dir);
	return err_set(e, fd, "cannot reach the console of guest '%s': %s", name,
		fd == -EAGAIN ? "too many are waiting for it" : strerrordesc_np(-fd));
}
