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
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In the child. Only what is safe after fork(); never returns. */
static void ready_exec(const char *const *words, int hand, int notify)
{
	char hand_text[16], notify_text[16];
	const char *argv[6 + READY_WORDS_MAX + 1] = { "watari", "incoming", "--fd", hand_text,
		"--notify-fd", notify_text };
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	for (int n = 0; n < READY_WORDS_MAX && words[n]; n++)
		argv[6 + n] = words[n];
	snprintf(hand_text, sizeof(hand_text), "%d", hand);
	snprintf(notify_text, sizeof(notify_text), "%d", notify);
	setsid(); /* Ctrl-C at the receiver's terminal is not meant for its guests */
	if (null > STDIN_FILENO) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	fcntl(hand, F_SETFD, 0);
	fcntl(notify, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv); /* which takes them as they are */
	_exit(127);
}

int ready_start(struct ready *r, const char *const *words, struct err *e)
{
	int hand[2] = { -1, -1 }, news[2] = { -1, -1 };

	*r = READY_NONE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, hand) < 0 ||
		pipe2(news, O_CLOEXEC) < 0) {
		err_errno(e, "cannot make a pipe for an arriving guest");
		goto out;
	}
	r->pid = fork();
	if (r->pid == 0)
		ready_exec(words, hand[1], news[1]);
	if (r->pid < 0) {
		err_errno(e, "cannot start a process for an arriving guest");
		r->pid = 0;
		goto out;
	}
	r->hand = hand[0];
	r->news = news[0];
	hand[0] = news[0] = -1;
out:
	for (int i = 0; i < 2; i++) {
		if (hand[i] >= 0)
			close(hand[i]);
		if (news[i] >= 0)
			close(news[i]);
	}
	return r->pid ? 0 : e->code;
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
		err_errno(e, "cannot give an arriving guest its connection");
		ready_drop(r);
		return e->code;
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
	ssize_t n;

	do
		n = recvmsg(hand, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		err_errno(e, "the connection of an arriving guest cannot be taken");
	close(hand);
	if (n < 0)
		return e->code;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (n > 0 && (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
			     c->cmsg_len != CMSG_LEN(sizeof(int))))
		return err_set(e, -EPROTO, "the receiver gave no connection");
	if (n == 0)
		return 1;
	memcpy(fd, CMSG_DATA(c), sizeof(int));
	return 0;
}
