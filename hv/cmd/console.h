/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console on this process's stdin: bytes go to the guest, and on a terminal
 * (raw, restored whatever ends the process but SIGKILL) Ctrl-A is the escape key.
 * All calls belong to the main thread. One console per process.
 * Next in the flow: guest_main.c (of run), attach.c (of console).
 */
#ifndef WATARI_CMD_CONSOLE_H
#define WATARI_CMD_CONSOLE_H

#include <stddef.h>

#include "hv/base/loop.h"

#define CONSOLE_INPUT_MAX (64 << 10) /* of a stdin that is a file; it is typed at once */

/* Without room() there always is; after it was 0, console_room() follows. A key whose operation is
 * NULL is not there. */
struct console_ops {
	void (*input)(void *arg, const void *data, size_t n); /* for the guest */
	size_t (*room)(void *arg);                            /* how much of it is taken */
	void (*quit)(void *arg);                              /* Ctrl-A x */
	void (*pause)(void *arg);                             /* Ctrl-A p */
	void (*detach)(void *arg);                            /* Ctrl-A d */
	void *arg;
};

/* Opens it. A stdin that is at its end, or a terminal of which we are in the background, is left.
 */
int console_open(struct loop *l, const struct console_ops *ops, struct err *e);
/* There is room for input again. */
void console_room(void);
/* Gives the terminal back. Harmless without a console, and twice. */
void console_close(void);

#endif
