/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's process that leaves its terminal: the command ends once the guest runs, and with the
 * child's exit code where it does not.
 * Next in the flow: run.c, guest_main.c.
 */
#ifndef WATARI_CMD_DETACH_H
#define WATARI_CMD_DETACH_H

#include "hv/base/err.h"

/*
 * Where the output of a detached guest's process goes: @log is a path (appended to, made with mode
 * 0600), "journal", or NULL: the journal where there is one, else nowhere. Returns a descriptor.
 */
int detach_log(const char *log, const char *name, struct err *e);

/*
 * Goes on in a child, in a session of its own; the parent waits for a byte through *@notify_fd,
 * says that guest @name runs, and exits. Before the first thread.
 */
int detach_fork(const char *name, int *notify_fd, struct err *e);

/* Standard output and error become @log_fd, which is closed, and standard input is at its end. */
void detach_output(int log_fd);

#endif
