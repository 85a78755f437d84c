/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the serial line's output goes: standard output, a file, or nowhere. Bytes are queued and a
 * thread writes them, so a reader that stops reading costs output, never the guest: a vCPU that
 * waited for a pipe could not be stopped for a migration.
 * Invariant: console_write() never waits for the outside.
 * Next in the flow: hv/vm/devices.c.
 */
#ifndef WATARI_VM_CONSOLE_H
#define WATARI_VM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"

struct console;

/*
 * Opens what @spec says: "stdio", "socket" or "none" (nothing), "file:PATH" (appended to; made with
 * mode 0600 if it is not there). Errors name the path. 0 or negative errno.
 */
int console_new(struct console **out, const char *spec, struct err *e);
/* Writes what is queued, for at most half a second if nobody takes it, and closes. NULL is fine. */
void console_free(struct console *c);

/*
 * Queues bytes from the guest. What does not fit in the queue is dropped, and a line says how much
 * once there is room. Any thread.
 */
void console_write(struct console *c, const uint8_t *p, size_t n);

#endif
