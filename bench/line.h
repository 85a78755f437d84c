/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two bench processes that talk over a stream socket, perhaps from host to host: a line each way.
 * Whoever reaches the socket is trusted as far as these few words go; every line is bounded.
 * Next in the flow: lane.c, far.c, remote.c.
 */
#ifndef WATARI_BENCH_LINE_H
#define WATARI_BENCH_LINE_H

#include <stdbool.h>

#include "hv/base/err.h"

#define LINE_MAX_BYTES 2048 /* end of line included */

/*
 * "HOST:PORT" as a socket, connected or listening; its host goes into @host, of XPORT_HOST_MAX
 * bytes. The descriptor, or negative errno.
 */
int line_socket(const char *text, bool listening, char *host, struct err *e);
/* @line ends in a newline. */
int line_say(int fd, const char *line, struct err *e);
/* The next line without its end, into @line of LINE_MAX_BYTES. -ECONNRESET: nobody is there. */
int line_hear(int fd, char *line, struct err *e);

#endif
