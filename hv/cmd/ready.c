/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the process kept ready (see ready.h): its start and the passing of the connection. Must
 * never decide when one is wanted: receive.c does.
 * Next in the flow: incoming.c.
 */
#include "hv/cmd/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In the child. Only what is safe after fork(); never returns. */
static void ready_exec(char **argv, int hand, int notify)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setsid(); /* Ctrl-C at the receiver's terminal is not meant for its guests */
	if (null > STDIN_FILENO) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	fcntl(hand, F_SETFD, 0);
	fcntl(notify, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* Forks and executes; @hand and @notify are the child's ends. Its number, or -errno. */
static pid_t ready_fork(char *const *words, int hand, int notify, struct err *e)
{
	char hand_text[16], notify_text[16];
	char *own[] = { "watari", "incoming", "--fd", hand_text, "--notify-fd", notify_text };
	size_t n = 0, first = sizeof(own) / sizeof(own[0]);
	char **argv;
	pid_t pid;

	while (words[n])
		n++;
	argv = calloc(first + n + 1, sizeof(*argv));
	if (!argv)
		return err_set(e, -ENOMEM, "no memory for the command line of an arriving guest");
	memcpy(argv, own, sizeof(own));
	memcpy(argv + first, words, n * sizeof(*argv));
	snprintf(hand_text, sizeof(hand_text), "%d", hand);
	snprintf(notify_text, sizeof(notify_text), "%d", notify);
	pid = fork();
	if (pid == 0)
		ready_exec(argv, hand, notify);
	free(argv);
	return pid < 0 ? err_errno(e, "cannot start a process for an arriving guest") : pid;
}

static void ready_close(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

int ready_start(struct ready *r, char *const *words, struct err *e)
{
	int hand[2] = { -1, -1 }, news[2] = { -1, -1 };
	pid_t pid;

	*r = READY_NONE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hand) < 0 ||
		pipe2(news, O_CLOEXEC) < 0)
		pid = err_errno(e, "cannot make a pipe for an arriving guest");
	else
		pid = ready_fork(words, hand[1], news[1], e);
	if (pid > 0) {
		*r = (struct ready){ .pid = pid, .hand = hand[0], .news = news[0] };
		hand[0] = news[0] = -1;
	}
	ready_close(hand);
	ready_close(news);
	return pid < 0 ? pid : 0;
}

int ready_give(struct ready *r, int fd, pid_t *pid, int *news, struct err *e)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	/* One message to one who reads one: it has room, so this does not block. */
	if (sendmsg(r->hand, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
		int rc = err_errno(e, "cannot give an arriving guest its connection");

		ready_drop(r);
		return rc;
	}
	*pid = r->pid;
	*news = r->news;
	close(r->hand);
	*r = READY_NONE;
	return 0;
}

void ready_drop(struct ready *r)
{
	if (r->pid == 0)
		return;
	close(r->hand);
	close(r->news);
	*r = READY_NONE;
}

int ready_take(int hand, int *fd, struct err *e)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int rc = 0;
	ssize_t n;

	do
		n = recvmsg(hand, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		rc = err_errno(e, "the connection of an arriving guest cannot be taken");
	close(hand);
	if (rc)
		return rc;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (n > 0 && (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
			     c->cmsg_len != CMSG_LEN(sizeof(int))))
		return err_set(e, -EPROTO, "the receiver gave no connection");
	if (n == 0)
		return 1;
	memcpy(fd, CMSG_DATA(c), sizeof(int));
	return 0;
}
