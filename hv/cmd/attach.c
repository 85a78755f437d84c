/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari console: this terminal becomes the guest's, until Ctrl-A d. The guest does not notice.
 * Must never wait for the guest: who has attached can detach. Next in the flow: console.c (keys),
 * hv/ctl/console.c (the guest's side).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/cmd/cmd.h"
#include "hv/cmd/console.h"
#include "hv/ctl/console.h"

#define ATTACH_SENT 4096 /* bytes sent that the guest's side has not read, about */

struct attach {
	struct loop *loop;
	const char *name;
	int fd;
	char waiting[CONSOLE_INPUT_MAX]; /* typed, and not yet the guest's */
	size_t waits;
};

static error_t attach_option(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	switch (key) {
	case ARGP_KEY_ARG: cmd_take_name(name, arg, state); break;
	case ARGP_KEY_END: cmd_need_name(*name, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp attach_argp = {
	.parser = attach_option,
	.args_doc = "NAME",
	.doc = "Show what guest NAME last wrote to its console, and what it writes from now on, "
	       "and send it what is typed. On a terminal Ctrl-A is the escape key: Ctrl-A d detaches, "
	       "Ctrl-A h lists what there is. Several may be attached; all see the same, and all may "
	       "type.",
};

/* As many of @n bytes as the guest's side has room for. */
static size_t attach_send(struct attach *a, const char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = send(a->fd, p + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN)
			break;
		if (k <= 0)
			return n; /* its end is seen by attach_output() */
		done += (size_t)k;
	}
	return done;
}

/*
 * What has no room waits, and with it whatever stdin is but a terminal (attach_room()). A
 * terminal is read on, for Ctrl-A d must work whatever the guest does: more than what waits is
 * lost there, and the bell says so, as a terminal's own queue of input does when it is full.
 */
static void attach_input(void *arg, const void *data, size_t n)
{
	struct attach *a = arg;
	size_t done = a->waits ? 0 : attach_send(a, data, n);

	if (done == n)
		return;
	if (a->waits + n - done > sizeof(a->waiting)) {
		(void)!write(STDERR_FILENO, "\a", 1);
		return;
	}
	memcpy(a->waiting + a->waits, (const char *)data + done, n - done);
	a->waits += n - done;
	loop_mod(a->loop, a->fd, EPOLLIN | EPOLLOUT);
}

static size_t attach_room(void *arg)
{
	const struct attach *a = arg;

	return a->waits ? 0 : sizeof(a->waiting);
}

static void attach_catch_up(struct attach *a)
{
	size_t done = attach_send(a, a->waiting, a->waits);

	a->waits -= done;
	memmove(a->waiting, a->waiting + done, a->waits);
	if (a->waits)
		return;
	loop_mod(a->loop, a->fd, EPOLLIN);
	console_room();
}

static void attach_detach(void *arg)
{
	struct attach *a = arg;

	console_close();
	fprintf(stderr, "watari: detached from guest %s\n", a->name);
	loop_stop(a->loop, CMD_OK);
}

static void attach_output(void *arg, uint32_t events)
{
	struct attach *a = arg;
	char buf[4096];
	ssize_t n, done = 0;

	if (events & EPOLLOUT)
		attach_catch_up(a);
	n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	while (done < n) {
		ssize_t k = write(STDOUT_FILENO, buf + done, (size_t)(n - done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) { /* nobody reads us any more */
			loop_stop(a->loop, CMD_OK);
			return;
		}
		done += k;
	}
	if (n > 0)
		return;
	console_close();
	fprintf(stderr, "watari: guest %s does not live here any more\n", a->name);
	loop_stop(a->loop, CMD_OK);
}

int cmd_console(int argc, char **argv)
{
	struct attach a = { .fd = -1 };
	const struct console_ops ops = {
		.input = attach_input, .room = attach_room, .detach = attach_detach, .arg = &a
	};
	struct err e = { 0 };
	int rc;

	cmd_parse(&attach_argp, argc, argv, &a.name);
	rc = a.fd = ctl_console_connect(NULL, a.name, &e);
	if (rc < 0)
		return cmd_fail(&e);
	/* What waits shall wait here, where a bell tells of it. */
	setsockopt(a.fd, SOL_SOCKET, SO_SNDBUF, &(int){ ATTACH_SENT }, sizeof(int));
	a.loop = loop_new(&e);
	rc = a.loop ? loop_add(a.loop, a.fd, EPOLLIN, attach_output, &a, &e) : e.code;
	if (rc == 0 && isatty(STDIN_FILENO))
		fprintf(stderr, "watari: attached to guest %s; Ctrl-A d detaches\n", a.name);
	if (rc == 0)
		rc = console_open(a.loop, &ops, &e);
	rc = rc < 0 ? cmd_fail(&e) : loop_run(a.loop);
	console_close();
	loop_free(a.loop);
	close(a.fd);
	return rc;
}
