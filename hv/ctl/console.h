/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console of a guest over its socket NAME.console: bytes both ways, nothing else. Whoever
 * attaches first gets the scrollback, then what the guest writes; all may type, as at one terminal.
 * All calls belong to the loop's thread.
 * Invariant: a reader that does not read loses output and is told so; it never holds up the guest,
 * and costs no memory. One that types faster than the guest reads is held up itself: what there is
 * no room for stays in its socket.
 * Next in the flow: hv/vm/scrollback.h, hv/cmd/attach.c.
 */
#ifndef WATARI_CTL_CONSOLE_H
#define WATARI_CTL_CONSOLE_H

#include "hv/base/err.h"
#include "hv/base/loop.h"
#include "hv/vm/scrollback.h"

#define CTL_VIEWERS_MAX 8

struct ctl_console;

/* Where what is typed goes. */
struct ctl_console_input {
	size_t (*room)(void *arg); /* bytes; 0: ctl_console_room() follows */
	void (*take)(void *arg, const void *data, size_t n); /* no more than there is room for */
	void *arg;
};

/* Serves @s on the listening socket @fd, which it closes in the end, also where this fails. */
int ctl_console_new(struct ctl_console **out, struct loop *l, int fd, struct scrollback *s,
	const struct ctl_console_input *input, struct err *e);
/* There is room again after there was none. NULL is fine. */
void ctl_console_room(struct ctl_console *c);
/* Sends what viewers take at once, and drops them. NULL is fine. */
void ctl_console_free(struct ctl_console *c);

/* The other side: connects to the console of guest @name in @dir. Returns the socket. */
int ctl_console_connect(const char *dir, const char *name, struct err *e);

#endif
