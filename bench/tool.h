/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody else's measuring program, run beside ours in the same session: started by its name, with
 * arguments made here, never through a shell; waited for, but not for ever.
 * Next in the flow: iperf.h, perftest.h.
 */
#ifndef WATARI_BENCH_TOOL_H
#define WATARI_BENCH_TOOL_H

#include <stdint.h>
#include <sys/types.h>

#include "hv/base/err.h"

/*
 * Starts @args[0], found by PATH, its stdout into @out (-1: nowhere), its stderr into @log (-1:
 * nowhere). -ENOENT with a sentence that names the Debian package @package.
 */
int tool_spawn(char **args, const char *package, int out, int log, pid_t *pid, struct err *e);
/*
 * Until @pid ends, at most @timeout_ns, then by force (-ETIMEDOUT). 0 if it says that all went
 * well, -EIO if not. @cpu_ns: what it used, or NULL.
 */
int tool_wait(pid_t pid, uint64_t timeout_ns, uint64_t *cpu_ns, struct err *e);
/* A port that was free a moment ago. */
int tool_port(uint16_t *port, struct err *e);

#endif
