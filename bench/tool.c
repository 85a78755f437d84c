/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the starting and the end of other people's measuring programs (see tool.h). Must never leave
 * one behind.
 * Next in the flow: bench/iperf.c, bench/perftest.c.
 */
#include "bench/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define TOOL_POLL_MS 10

extern char **environ;

static void tool_file(posix_spawn_file_actions_t *files, int fd, int as)
{
	if (fd >= 0)
		posix_spawn_file_actions_adddup2(files, fd, as);
	else
		posix_spawn_file_actions_addopen(files, as, "/dev/null", O_WRONLY, 0);
}

int tool_spawn(char **args, const char *package, int out, int log, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t files;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	tool_file(&files, out, 1);
	tool_file(&files, log, 2);
	rc = posix_spawnp(pid, args[0], &files, NULL, args, environ);
	posix_spawn_file_actions_destroy(&files);
	return rc ? err_set(e, -rc, "cannot run %s (Debian: %s): %s", args[0], package,
			    strerrordesc_np(rc))
		  : 0;
}

int tool_wait(pid_t pid, uint64_t timeout_ns, uint64_t *cpu_ns, struct err *e)
{
	uint64_t end = clock_mono_ns() + timeout_ns;
	struct rusage u = { 0 };
	int status = 0, late = 0;

	while (wait4(pid, &status, late ? 0 : WNOHANG, &u) != pid) {
		if (!late && clock_mono_ns() > end) {
			late = 1;
			kill(pid, SIGKILL);
		}
		poll(NULL, 0, late ? 0 : TOOL_POLL_MS);
	}
	if (cpu_ns)
		*cpu_ns = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NSEC_PER_SEC +
			  (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NSEC_PER_USEC;
	if (late)
		return err_set(e, -ETIMEDOUT, "it did not end within %llu s and was ended",
			(unsigned long long)(timeout_ns / NSEC_PER_SEC));
	if (WIFSIGNALED(status))
		return err_set(e, -EIO, "it was ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status) == 0
		       ? 0
		       : err_set(e, -EIO, "it ended with status %d", WEXITSTATUS(status));
}

int tool_port(uint16_t *port, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		rc = err_errno(e, "cannot find a free port");
	*port = ntohs(a.sin_port);
	if (fd >= 0)
		close(fd);
	return rc;
}
