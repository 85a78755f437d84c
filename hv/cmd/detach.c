/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the way into the background (see detach.h). Must never say that a guest runs before it does.
 * Next in the flow: guest_main.c sends the byte.
 */
#include "hv/cmd/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/cmd/cmd.h"

/*
 * systemd-journald(8) takes lines from a stream socket that begins with: identifier, unit, priority
 * (6: info), whether lines carry a priority, and whether to forward to syslog, kmsg, console.
 */
static int detach_journal(const char *name, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX,
		.sun_path = "/run/systemd/journal/stdout" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char head[128];
	int n = snprintf(head, sizeof(head), "watari-%.63s\n\n6\n0\n0\n0\n0\n", name), rc = 0;

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
		write(fd, head, n) != n)
		rc = err_errno(e, "cannot reach the journal at %s", sa.sun_path);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

int detach_log(const char *log, const char *name, struct err *e)
{
	int fd;

	if (log && strcmp(log, "journal") != 0) {
		fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0600);
		return fd >= 0 ? fd : err_errno(e, "cannot open the log %s", log);
	}
	fd = detach_journal(name, e);
	if (fd >= 0 || log)
		return fd;
	err_clear(e);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return fd >= 0 ? fd : err_errno(e, "cannot open /dev/null");
}

/* The parent's part: the child's fate becomes the command's. */
static void detach_wait(pid_t pid, const char *name, int fd)
{
	char byte;
	int status;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		printf("guest %s runs, process %d\n", name, (int)pid);
		fflush(stdout);
		_exit(CMD_OK);
	}
	/* It has said why, on the standard error that both have. */
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : CMD_FAIL);
	fprintf(stderr, "watari: guest %s: its process ended before the guest ran\n", name);
	_exit(CMD_FAIL);
}

int detach_fork(const char *name, int *notify_fd, struct err *e)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe");
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		err_errno(e, "cannot start a process for the guest");
		close(fd[0]);
		close(fd[1]);
		return e ? e->code : -EAGAIN;
	}
	if (pid > 0) {
		close(fd[1]);
		detach_wait(pid, name, fd[0]);
	}
	close(fd[0]);
	setsid();
	*notify_fd = fd[1];
	return 0;
}

void detach_output(int log_fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	fflush(NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	close(log_fd);
}
