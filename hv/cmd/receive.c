/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari receive: listens, and has a `watari incoming` for every connection that has spoken; the
 * next is kept ready. Must never read from a peer what it would act on: the child does, so nothing
 * a peer sends can stall or crash this. Invariant: at most RECEIVE_GREETING processes listen to
 * peers that have not said yet which guest they bring, of which one that has not proven who it is
 * makes place when all are taken; and no more guests than --max-moves are on their way in. One that
 * has arrived does not count. So no number of peers makes memory grow. Next in the flow:
 * incoming.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/base/loop.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/listen.h"
#include "hv/cmd/ready.h"
#include "hv/cmd/receive_args.h"
#include "hv/cmd/refusals.h"
#include "hv/cmd/waiting.h"
#include "hv/ctl/slots.h"
#include "hv/migrate/rendezvous.h"

#define RECEIVE_GREETING 16             /* peers that have not brought a guest yet */
#define RECEIVE_REFUSED  16             /* refused peers that have not hung up */
#define RECEIVE_READY_NS (NSEC_PER_SEC) /* after one that came, until the next is made ready */
#define RECEIVE_COMING   (RECEIVE_GREETING + CTL_SLOTS_MAX)

struct receive;
struct receive_slot {
	struct receive *r;
	int fd;         /* -1: free. A pipe from the child, or a refused peer's socket */
	pid_t pid;      /* of the child */
	bool proven;    /* its peer is who it may be, and speaks our protocol */
	bool greeting;  /* a child that has not told of a guest */
	uint64_t since; /* order of arrival */
	char peer[XPORT_HOST_MAX];
};

struct receive {
	const struct receive_args *args;
	struct loop *loop;
	int fd, signal_fd;
	struct waiting *waiting;
	int timer; /* of what is said of the refused */
	struct refusals refusals;
	uint64_t arrivals;
	struct receive_slot coming[RECEIVE_COMING];
	struct receive_slot refused[RECEIVE_REFUSED];
	unsigned greeting;
	struct ready ready; /* for the next that comes */
	int ready_timer;
	char *const *words; /* of our command line, which are theirs, too */
};

static void receive_accept(void *arg, uint32_t events);

static void receive_slot_free(struct receive_slot *s)
{
	loop_del(s->r->loop, s->fd);
	close(s->fd);
	s->fd = -1;
	s->r->greeting -= s->greeting;
	s->greeting = false;
}

static struct receive_slot *receive_slot(struct receive_slot *slots, int n)
{
	for (int i = 0; i < n; i++) {
		if (slots[i].fd < 0)
			return &slots[i];
	}
	return NULL;
}

/* ---- timers, and the process kept ready ------------------------------------------------------ */

static int receive_timer(
	struct receive *r, int *timer, void (*fn)(void *arg, uint32_t events), struct err *e)
{
	*timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*timer < 0)
		return err_errno(e, "cannot make a timer");
	return loop_add(r->loop, *timer, EPOLLIN, fn, r, e);
}

static bool receive_timer_ran(int timer)
{
	uint64_t count;

	return read(timer, &count, sizeof(count)) == sizeof(count);
}

static void receive_timer_set(int timer, uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(ns / NSEC_PER_SEC),
			.tv_nsec = (long)(ns % NSEC_PER_SEC) },
	};

	timerfd_settime(timer, 0, &when, NULL);
}

/*
 * The next process kept ready, unless somebody is on the way in, who needs this host's time more.
 * What does not work is said to the next that comes.
 */
static void receive_ready(void *arg, uint32_t events)
{
	struct receive *r = arg;

	(void)events;
	if (!receive_timer_ran(r->ready_timer) || r->ready.pid)
		return;
	for (int i = 0; i < RECEIVE_COMING; i++)
		if (r->coming[i].fd >= 0)
			return; /* its end winds the timer up again */
	ready_start(&r->ready, r->words, NULL);
}

/* ---- telling of those refused ---------------------------------------------------------------- */

static void receive_line(void *arg, const char *text)
{
	(void)arg;
	log_warn("%s", text);
}

static void receive_peer(int fd, char peer[XPORT_HOST_MAX])
{
	if (rdv_host(fd, true, peer, NULL) < 0)
		strcpy(peer, "a peer that is gone");
}

static void receive_tell(struct receive *r, const char *peer, const char *why)
{
	bool ran = r->refusals.end != 0;

	refusals_add(&r->refusals, peer, why, clock_mono_ns());
	if (!ran)
		receive_timer_set(r->timer, REFUSALS_NS);
}

static void receive_tell_rest(void *arg, uint32_t events)
{
	struct receive *r = arg;

	(void)events;
	if (receive_timer_ran(r->timer))
		refusals_end(&r->refusals, UINT64_MAX);
}

/* The child's last word, written at once: why it refused. What is told is bounded here, not there.
 */
static void receive_told(struct receive_slot *s)
{
	char why[ERR_MSG_MAX];
	ssize_t n = read(s->fd, why, sizeof(why) - 1);

	why[n > 0 ? n : 0] = '\0';
	receive_tell(s->r, s->peer, why);
}

/*
 * The child said "P", its peer is proven, "G", it has a guest, "A", that arrived, "C", it only
 * looked, or "R" and why it refused; or its pipe closed without a word.
 */
static void receive_news(void *arg, uint32_t events)
{
	struct receive_slot *s = arg;
	struct receive *r = s->r;
	char byte = 0;
	bool said = read(s->fd, &byte, 1) == 1;

	(void)events;
	if (said && byte == 'P') {
		s->proven = true;
		return;
	}
	if (said && byte == 'G') {
		r->greeting -= s->greeting;
		s->greeting = false;
		return;
	}
	if (said && byte == 'R')
		receive_told(s);
	receive_slot_free(s);
	if (!r->args->once) {
		receive_timer_set(r->ready_timer, RECEIVE_READY_NS);
		return;
	}
	/* Who only looks may come next. */
	if (said && byte == 'C' && loop_add(r->loop, r->fd, EPOLLIN, receive_accept, r, NULL) == 0)
		return;
	loop_stop(r->loop, said && byte == 'A' ? CMD_OK : CMD_FAIL);
}

/* ---- refusing -------------------------------------------------------------------------------- */

/* What a refused peer still sends is thrown away: closing before it is read could lose our words.
 */
static void receive_refused_gone(void *arg, uint32_t events)
{
	struct receive_slot *s = arg;
	char waste[4096];

	(void)events;
	if (recv(s->fd, waste, sizeof(waste), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	receive_slot_free(s); /* it has spoken, so our words are on their way before the close */
}

static void receive_refuse(struct receive *r, int fd)
{
	struct receive_slot *s = receive_slot(r->refused, RECEIVE_REFUSED);
	char peer[XPORT_HOST_MAX];

	receive_peer(fd, peer);
	receive_tell(r, peer, "too many are knocking here at once");
	rdv_turn_away(fd, &r->args->secure);
	if (!s || loop_add(r->loop, fd, EPOLLIN, receive_refused_gone, s, NULL) < 0) {
		/* all are taken by peers that keep still: the first of them has had its time */
		close(fd);
		if (!s)
			receive_slot_free(&r->refused[0]);
		return;
	}
	s->fd = fd;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* The connection @fd to the process kept ready; to a new one where there is none, or it had died.
 */
static int receive_give(struct receive *r, int fd, struct receive_slot *s, struct err *e)
{
	bool kept = r->ready.pid != 0;
	int rc = kept ? ready_give(&r->ready, fd, &s->pid, &s->fd, e) : -EPIPE;

	if (rc == 0)
		return 0;
	err_clear(e);
	rc = ready_start(&r->ready, r->words, e);
	return rc ? rc : ready_give(&r->ready, fd, &s->pid, &s->fd, e);
}

static int receive_start(struct receive *r, int fd, struct receive_slot *s, struct err *e)
{
	int rc;

	receive_peer(fd, s->peer); /* before anybody answers it: it may go then */
	rc = receive_give(r, fd, s, e);
	if (rc < 0)
		return rc;
	rc = loop_add(r->loop, s->fd, EPOLLIN, receive_news, s, e);
	if (rc < 0) {
		kill(s->pid, SIGKILL); /* nobody would hear what it has to say */
		close(s->fd);
		s->fd = -1;
		return rc;
	}
	s->proven = false;
	s->since = ++r->arrivals;
	s->greeting = true;
	r->greeting++;
	return 0;
}

/*
 * A free place, or that of whoever brings no guest yet and has been unproven longest: who has the
 * right credentials proves it within a few round trips, so it is a stranger that loses its place.
 * NULL: all are proven.
 */
static struct receive_slot *receive_place(struct receive *r)
{
	struct receive_slot *s = receive_slot(r->coming, RECEIVE_COMING);

	if (s && r->greeting < RECEIVE_GREETING)
		return s;
	s = NULL;
	for (int i = 0; i < RECEIVE_COMING; i++) {
		struct receive_slot *o = &r->coming[i];

		if (o->fd >= 0 && o->greeting && !o->proven && (!s || o->since < s->since))
			s = o;
	}
	if (!s)
		return NULL;
	receive_tell(r, s->peer, "it had not proven who it is when another needed its place");
	if (s->pid > 0)
		kill(s->pid, SIGKILL); /* not waited for yet, so the number is its own */
	receive_slot_free(s);
	return s;
}

static void receive_accept(void *arg, uint32_t events)
{
	struct receive *r = arg;
	int fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0)
		waiting_add(r->waiting, fd);
}

static void receive_shown_out(void *arg, int fd, const char *why)
{
	char peer[XPORT_HOST_MAX];

	receive_peer(fd, peer);
	receive_tell(arg, peer, why);
}

/* The connection @fd has something to say, and it is time for a process that listens. */
static void receive_spoken(void *arg, int fd)
{
	struct receive *r = arg;
	struct receive_slot *s = receive_place(r);
	char peer[XPORT_HOST_MAX];
	struct err e = { 0 };

	if (!s) {
		receive_refuse(r, fd);
		return;
	}
	if (receive_start(r, fd, s, &e) < 0) {
		receive_peer(fd, peer);
		receive_tell(r, peer, e.msg);
		rdv_turn_away(fd, &r->args->secure);
	} else if (r->args->once) {
		loop_del(r->loop, r->fd);
	}
	close(fd);
}

/* The number of a child that is gone may be another's soon: its place forgets it. */
static void receive_reap(struct receive *r)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (int i = 0; i < RECEIVE_COMING; i++)
			if (r->coming[i].pid == pid)
				r->coming[i].pid = 0;
		if (r->ready.pid == pid)
			ready_drop(&r->ready);
	}
}

static void receive_signal(void *arg, uint32_t events)
{
	struct receive *r = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(r->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo != SIGCHLD)
		loop_stop(r->loop, CMD_OK); /* guests that have arrived live on */
	receive_reap(r);
}

static int receive_signals(struct receive *r, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd < 0)
		return err_errno(e, "cannot watch for signals");
	return loop_add(r->loop, r->signal_fd, EPOLLIN, receive_signal, r, e);
}

int cmd_receive(int argc, char **argv)
{
	static const struct waiting_ends ends = {
		.spoken = receive_spoken,
		.shown_out = receive_shown_out,
	};
	struct receive_args args = RECEIVE_ARGS;
	struct receive r = {
		.args = &args, .fd = -1, .refusals.line = receive_line, .ready = READY_NONE
	};
	char text[CTL_ADDR_MAX];
	struct err e = { 0 };
	int rc;

	for (int i = 0; i < RECEIVE_COMING; i++)
		r.coming[i] = (struct receive_slot){ .r = &r, .fd = -1 };
	for (int i = 0; i < RECEIVE_REFUSED; i++)
		r.refused[i] = (struct receive_slot){ .r = &r, .fd = -1 };
	cmd_parse(&receive_argp, argc, argv, &args);
	r.words = argv + 1;
	if (receive_args_check(&args, &e) < 0)
		return cmd_fail(&e);
	r.fd = listen_open(args.listen, args.trust || args.secure.how != CHAN_PLAIN, text, &e);
	r.loop = r.fd >= 0 ? loop_new(&e) : NULL;
	if (!r.loop || receive_signals(&r, &e) < 0 ||
		receive_timer(&r, &r.timer, receive_tell_rest, &e) < 0 ||
		receive_timer(&r, &r.ready_timer, receive_ready, &e) < 0 ||
		waiting_new(&r.waiting, r.loop, &ends, &r, &e) < 0 ||
		loop_add(r.loop, r.fd, EPOLLIN, receive_accept, &r, &e) < 0) {
		rc = cmd_fail(&e);
		goto out;
	}
	printf("listening on %s\n", text);
	fflush(stdout);
	receive_timer_set(r.ready_timer, 1);
	rc = loop_run(r.loop);
	refusals_end(&r.refusals, UINT64_MAX);
out:
	loop_free(r.loop); /* the descriptors end with the process */
	return rc;
}
