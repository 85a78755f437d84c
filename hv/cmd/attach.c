/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari console: this terminal becomes the guest's, until Ctrl-A d. The guest does not notice.
 * Next in the flow: console.c (keys), hv/ctl/console.c (the guest's side).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/cmd/cmd.h"
#include "hv/cmd/console.h"
#include "hv/ctl/console.h"

struct attach {
	struct loop *loop;
	const char *name;
	int fd;
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

/* The guest's side of the line is never behind for long; a socket that is full may wait. */
static void attach_input(void *arg, const void *data, size_t n)
{
	struct attach *a = arg;
	const char *p = data;

	while (n) {
		ssize_t k = send(a->fd, p, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return; /* its end is seen by attach_output() */
		p += k;
		n -= (size_t)k;
	}
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
	ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT), done = 0;

	(void)events;
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
		.input = attach_input, .detach = attach_detach, .arg = &a
	};
	struct err e = { 0 };
	int rc;

	cmd_parse(&attach_argp, argc, argv, &a.name);
	rc = a.fd = ctl_console_connect(NULL, a.name, &e);
	if (rc < 0)
		return cmd_fail(&e);
	fcntl(a.fd, F_SETFL, 0); /* blocking: what is typed waits for its turn */
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
