/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the terminal's mode (see console.h). Must never leave the terminal raw: console_restore()
 * runs from console_close(), atexit() and the handler of every signal that kills.
 * Next in the flow: hv/vm/devices_console.c, by way of vm_input().
 */
#include "hv/cmd/console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#define CONSOLE_ESCAPE 0x01 /* Ctrl-A */
#define CONSOLE_CHUNK  256  /* bytes read at once; few, so that a paste cannot starve the loop */

/* Global because a signal handler and atexit() need it: there is one terminal. */
static struct {
	struct loop *loop;
	struct console_ops ops;
	bool escape; /* Ctrl-A was the last key */
	bool terminal;
	bool held; /* there was no room: stdin is not watched until there is */
	volatile sig_atomic_t raw;
	struct termios before;
} console;

/* Async-signal-safe. */
static void console_restore(void)
{
	if (console.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &console.before);
	console.raw = 0;
}

static void console_fatal(int sig)
{
	console_restore();
	raise(sig); /* SA_RESETHAND: now it kills */
}

static int console_raw(struct err *e)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGQUIT,
		SIGTRAP, SIGXCPU, SIGXFSZ, SIGALRM, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = console_fatal, .sa_flags = SA_RESETHAND };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &console.before) < 0)
		return err_errno(e, "cannot read the terminal's mode");
	raw = console.before;
	cfmakeraw(&raw);
	raw.c_oflag = console.before.c_oflag; /* our own lines still end in CR LF */
	atexit(console_restore);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &sa, NULL);
	console.raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return err_errno(e, "cannot set the terminal's mode");
	return 0;
}

static void console_help(void)
{
	fprintf(stderr, "\n%s%s%s%s", console.ops.quit ? "Ctrl-A x   end the guest\n" : "",
		console.ops.pause ? "Ctrl-A p   pause the guest, or let it go on\n" : "",
		console.ops.detach ? "Ctrl-A d   detach; the guest goes on\n" : "",
		"Ctrl-A a   send Ctrl-A to the guest (so does Ctrl-A Ctrl-A)\n"
		"Ctrl-A h   this help\n");
}

static void console_command(unsigned char key)
{
	static const unsigned char escape = CONSOLE_ESCAPE;
	const struct {
		unsigned char key;
		void (*run)(void *arg);
	} command[] = { { 'x', console.ops.quit }, { 'p', console.ops.pause },
		{ 'd', console.ops.detach } };

	if (key == 'a' || key == CONSOLE_ESCAPE) {
		console.ops.input(console.ops.arg, &escape, 1);
		return;
	}
	for (size_t i = 0; i < sizeof(command) / sizeof(command[0]); i++) {
		if (command[i].key == key && command[i].run) {
			command[i].run(console.ops.arg);
			return;
		}
	}
	console_help();
}

/* Sorts keys: runs of plain ones go to the guest in one piece. */
static void console_keys(const unsigned char *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (!console.escape && p[i] != CONSOLE_ESCAPE)
			continue;
		if (i > from)
			console.ops.input(console.ops.arg, p + from, i - from);
		from = i + 1;
		if (console.escape)
			console_command(p[i]);
		console.escape = !console.escape;
	}
	if (n > from)
		console.ops.input(console.ops.arg, p + from, n - from);
}

static void console_ready(void *arg, uint32_t events)
{
	unsigned char buf[CONSOLE_CHUNK];
	size_t room = sizeof(buf);
	ssize_t n;

	(void)arg;
	(void)events;
	/* A terminal is read in any case: Ctrl-A x must work when the guest has hung up. */
	if (console.ops.room && !console.terminal)
		room = console.ops.room(console.ops.arg);
	if (room == 0) {
		console.held = true;
		loop_del(console.loop, STDIN_FILENO);
		return;
	}
	n = read(STDIN_FILENO, buf, room < sizeof(buf) ? room : sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		loop_del(console.loop, STDIN_FILENO); /* nobody types any more; the guest goes on */
	else if (console.terminal)
		console_keys(buf, (size_t)n);
	else
		console.ops.input(console.ops.arg, buf, (size_t)n);
}

/* A file as stdin cannot be watched: its beginning is typed at once. */
static void console_file(void)
{
	unsigned char buf[CONSOLE_CHUNK];
	size_t total = 0;
	ssize_t n;

	while (total < CONSOLE_INPUT_MAX && (n = read(STDIN_FILENO, buf, sizeof(buf))) > 0) {
		console.ops.input(console.ops.arg, buf, (size_t)n);
		total += (size_t)n;
	}
}

int console_open(struct loop *l, const struct console_ops *ops, struct err *e)
{
	int rc = 0;

	console.loop = l;
	console.ops = *ops;
	console.escape = false;
	console.terminal = isatty(STDIN_FILENO);
	/* in the background a change of the terminal's mode would stop this process */
	if (console.terminal && tcgetpgrp(STDIN_FILENO) != getpgrp())
		return 0;
	if (console.terminal)
		rc = console_raw(e);
	if (rc == 0)
		rc = loop_add(l, STDIN_FILENO, EPOLLIN, console_ready, NULL, e);
	if (rc == -EPERM || rc == -EBADF) {
		if (rc == -EPERM)
			console_file();
		err_clear(e);
		rc = 0;
	}
	return rc;
}

void console_room(void)
{
	if (console.loop && console.held)
		(void)loop_add(console.loop, STDIN_FILENO, EPOLLIN, console_ready, NULL, NULL);
	console.held = false;
}

void console_close(void)
{
	if (console.loop)
		loop_del(console.loop, STDIN_FILENO);
	console.loop = NULL;
	console_restore();
}
