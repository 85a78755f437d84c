/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari receive: listens, and starts `watari incoming` for every connection that has spoken. Must
 * never read from a peer what it would act on: the child does, so nothing a peer sends can stall or
 * crash this. Invariant: at most RECEIVE_GREETING processes listen to peers that have not said yet
 * which guest they bring, of which one that has not proven who it is makes place when all are
 * taken; and no more guests than --max-moves are on their way in. One that has arrived does not
 * count. So no number of peers makes memory grow. Next in the flow: incoming.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/listen.h"
#include "hv/cmd/refusals.h"
#include "hv/cmd/waiting.h"
#include "hv/ctl/slots.h"
#include "hv/migrate/rendezvous.h"
#include "hv/vm/place.h"

#define RECEIVE_GREETING 16 /* peers that have not brought a guest yet */
#define RECEIVE_REFUSED  16 /* refused peers that have not hung up */
#define RECEIVE_COMING   (RECEIVE_GREETING + CTL_SLOTS_MAX)

struct receive_args {
	const char *listen, *serial, *tracking, *rdma_device, *rdma_pin, *tls, *psk, *max_moves,
		*place;
	struct chan_want secure;
	bool trust, once, overcommit, encrypt;
};

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
};

enum {
	RECEIVE_TRUST = 256,
	RECEIVE_ONCE,
	RECEIVE_SERIAL,
	RECEIVE_TRACKING,
	RECEIVE_OVERCOMMIT,
	RECEIVE_DEVICE,
	RECEIVE_PIN,
	RECEIVE_TLS,
	RECEIVE_PSK,
	RECEIVE_ENCRYPT,
	RECEIVE_MOVES,
	RECEIVE_PLACE
};

static const struct argp_option receive_options[] = {
	{ .name = "listen",
		.key = 'l',
		.arg = "ADDR:PORT",
		.doc = "Where guests arrive; without ADDR: 127.0.0.1; port 0: any" },
	{ .name = "trust-network",
		.key = RECEIVE_TRUST,
		.doc = "Allow an address others can reach, although peers are not authenticated" },
	{ .name = "serial",
		.key = RECEIVE_SERIAL,
		.arg = "socket|file:PATH|stdio|none",
		.doc = "Where the console of arriving guests leads (default: as before the move, "
		       "but socket instead of stdio)" },
	{ .name = "once",
		.key = RECEIVE_ONCE,
		.doc = "End after one connection, with 0 if its guest arrived" },
	{ .name = "dirty-tracking",
		.key = RECEIVE_TRACKING,
		.arg = "auto|ring|log",
		.doc = "How a later move finds pages the guest wrote (default auto)" },
	{ .name = "max-moves",
		.key = RECEIVE_MOVES,
		.arg = "N",
		.doc = "Let at most N guests be on their way to this host at once, 1 to 64 (default 8)" },
	{ .name = "vcpu-cpus",
		.key = RECEIVE_PLACE,
		.arg = "CPUS|VCPU:CPUS[,...]|any",
		.doc = "Where the threads of the virtual CPUs of arriving guests run (default: as the "
		       "definition that this host keeps of the guest says, else any)" },
	{ .name = "overcommit",
		.key = RECEIVE_OVERCOMMIT,
		.doc = "Do not refuse a guest larger than the memory that is free" },
	{ .name = "rdma-device",
		.key = RECEIVE_DEVICE,
		.arg = "NAME",
		.doc = "Over RDMA, take guests on this device alone" },
	{ .name = "rdma-pin",
		.key = RECEIVE_PIN,
		.arg = "auto|all|chunk|odp",
		.doc = "Over RDMA, how this end registers what the source asks for: odp by on-demand "
		       "paging, the others by pinning, auto with on-demand paging where pinning "
		       "does not fit (default auto)" },
	{ .name = "tls",
		.key = RECEIVE_TLS,
		.arg = "DIR",
		.doc = "Take guests under TLS alone, from sources whose certificate DIR/ca.pem "
		       "vouches for; this host's are DIR/cert.pem and DIR/key.pem" },
	{ .name = "psk",
		.key = RECEIVE_PSK,
		.arg = "FILE",
		.doc = "Take guests under TLS alone, from a source that has the same key file (see "
		       "'watari keygen')" },
	{ .name = "encrypt",
		.key = RECEIVE_ENCRYPT,
		.doc = "Take guests only if their memory comes encrypted, too" },
	{ 0 },
};

static error_t receive_option(int key, char *arg, struct argp_state *state)
{
	struct receive_args *a = state->input;

	switch (key) {
	case 'l': a->listen = arg; break;
	case RECEIVE_TRUST: a->trust = true; break;
	case RECEIVE_SERIAL: a->serial = arg; break;
	case RECEIVE_ONCE: a->once = true; break;
	case RECEIVE_TRACKING: a->tracking = arg; break;
	case RECEIVE_OVERCOMMIT: a->overcommit = true; break;
	case RECEIVE_DEVICE: a->rdma_device = arg; break;
	case RECEIVE_PIN: a->rdma_pin = arg; break;
	case RECEIVE_TLS: a->tls = arg; break;
	case RECEIVE_PSK: a->psk = arg; break;
	case RECEIVE_ENCRYPT: a->encrypt = true; break;
	case RECEIVE_MOVES: a->max_moves = arg; break;
	case RECEIVE_PLACE: a->place = arg; break;
	case ARGP_KEY_ARG: argp_error(state, "there is nothing to do with '%s'", arg); break;
	case ARGP_KEY_END:
		if (!a->listen)
			argp_error(state, "--listen is missing");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp receive_argp = {
	.options = receive_options,
	.parser = receive_option,
	.doc = "Wait for guests that move to this host. Each one gets a process of its own, which "
	       "goes on as a guest of this host when this command ends.",
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
	const struct itimerspec when = { .it_value.tv_sec = REFUSALS_NS / NSEC_PER_SEC };

	refusals_add(&r->refusals, peer, why, clock_mono_ns());
	if (!ran)
		timerfd_settime(r->timer, 0, &when, NULL);
}

static void receive_tell_rest(void *arg, uint32_t events)
{
	struct receive *r = arg;
	uint64_t count;

	(void)events;
	if (read(r->timer, &count, sizeof(count)) == sizeof(count))
		refusals_end(&r->refusals, UINT64_MAX);
}

static int receive_timer(struct receive *r, struct err *e)
{
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->timer < 0)
		return err_errno(e, "cannot make a timer");
	return loop_add(r->loop, r->timer, EPOLLIN, receive_tell_rest, r, e);
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
 * checked, or "R" and why it refused; or its pipe closed without a word.
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
	if (!r->args->once)
		return;
	/* Who only checks may come next. */
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

/* In the child. Only what is safe after fork(); never returns. */
static void receive_exec(const struct receive *r, int fd, int notify)
{
	char fd_text[16], notify_text[16];
	char *argv[32] = { "watari", "incoming", "--fd", fd_text, "--notify-fd", notify_text };
	int n = 6, null = open("/dev/null", O_RDONLY);
	sigset_t none;

	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(notify_text, sizeof(notify_text), "%d", notify);
	if (r->args->serial) {
		argv[n++] = "--serial";
		argv[n++] = (char *)(uintptr_t)r->args->serial; /* execv() takes it as it is */
	}
	argv[n++] = "--max-moves";
	argv[n++] = (char *)(uintptr_t)r->args->max_moves;
	argv[n++] = "--dirty-tracking";
	argv[n++] = (char *)(uintptr_t)r->args->tracking;
	if (r->args->place) {
		argv[n++] = "--vcpu-cpus";
		argv[n++] = (char *)(uintptr_t)r->args->place;
	}
	if (r->args->overcommit)
		argv[n++] = "--overcommit";
	if (r->args->rdma_device) {
		argv[n++] = "--rdma-device";
		argv[n++] = (char *)(uintptr_t)r->args->rdma_device;
	}
	if (r->args->rdma_pin) {
		argv[n++] = "--rdma-pin";
		argv[n++] = (char *)(uintptr_t)r->args->rdma_pin;
	}
	if (r->args->secure.how != CHAN_PLAIN) {
		argv[n++] = r->args->secure.how == CHAN_TLS ? "--tls" : "--psk";
		argv[n++] = (char *)(uintptr_t)r->args->secure.path;
	}
	if (r->args->secure.encrypt)
		argv[n++] = "--encrypt";
	setsid(); /* Ctrl-C at the receiver's terminal is not meant for its guests */
	dup2(null, STDIN_FILENO);
	fcntl(fd, F_SETFD, 0);
	fcntl(notify, F_SETFD, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static int receive_start(struct receive *r, int fd, struct receive_slot *s, struct err *e)
{
	int pipe_fd[2];
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe for an arriving guest");
	if (loop_add(r->loop, pipe_fd[0], EPOLLIN, receive_news, s, e) < 0) {
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		return e->code;
	}
	s->fd = pipe_fd[0];
	receive_peer(fd, s->peer);
	s->proven = false;
	s->since = ++r->arrivals;
	s->greeting = true;
	r->greeting++;
	s->pid = pid = fork();
	if (pid == 0)
		receive_exec(r, fd, pipe_fd[1]);
	if (pid < 0) {
		err_errno(e, "cannot start a process for an arriving guest");
		receive_slot_free(s);
	}
	close(pipe_fd[1]);
	return pid < 0 ? e->code : 0;
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

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (int i = 0; i < RECEIVE_COMING; i++)
			if (r->coming[i].pid == pid)
				r->coming[i].pid = 0;
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

/* What would fail for every guest is said at once. */
static int receive_check(struct receive_args *a, struct err *e)
{
	struct vm_config c = { .name = "any",
		.cpus = VM_CPUS_MAX,
		.memory = GMEM_SIZE_MIN,
		.kernel = "/any",
		.serial = "none" };
	struct xport_rdma rdma;
	uint64_t most;
	int rc = cmd_guest_key(&c, "dirty-tracking", a->tracking, e);

	if (rc == 0)
		rc = number_parse(a->max_moves, "max-moves", 1, CTL_SLOTS_MAX, &most, e);

	if (rc == 0)
		rc = xport_rdma_parse(a->rdma_device, a->rdma_pin, &rdma, e);
	if (rc == 0 && a->serial)
		rc = cmd_copy(c.serial, sizeof(c.serial), a->serial, "--serial", e);
	if (rc == 0)
		rc = cmd_guest_key(&c, "vcpu-cpus", a->place, e);
	if (rc == 0)
		rc = place_fits(c.place, &cpus_host, e);
	if (rc == 0)
		rc = vm_config_check(&c, e);
	if (rc == 0)
		rc = chan_want_parse(&a->secure, a->tls, a->psk, a->encrypt, e);
	return rc ? rc : chan_want_check(&a->secure, e);
}

int cmd_receive(int argc, char **argv)
{
	static const struct waiting_ends ends = {
		.spoken = receive_spoken,
		.shown_out = receive_shown_out,
	};
	struct receive_args args = { .tracking = "auto", .max_moves = "8" };
	struct receive r = { .args = &args, .fd = -1, .refusals.line = receive_line };
	char text[CTL_ADDR_MAX];
	struct err e = { 0 };
	int rc;

	for (int i = 0; i < RECEIVE_COMING; i++)
		r.coming[i] = (struct receive_slot){ .r = &r, .fd = -1 };
	for (int i = 0; i < RECEIVE_REFUSED; i++)
		r.refused[i] = (struct receive_slot){ .r = &r, .fd = -1 };
	cmd_parse(&receive_argp, argc, argv, &args);
	if (receive_check(&args, &e) < 0)
		return cmd_fail(&e);
	r.fd = listen_open(args.listen, args.trust || args.secure.how != CHAN_PLAIN, text, &e);
	r.loop = r.fd >= 0 ? loop_new(&e) : NULL;
	if (!r.loop || receive_signals(&r, &e) < 0 || receive_timer(&r, &e) < 0 ||
		waiting_new(&r.waiting, r.loop, &ends, &r, &e) < 0 ||
		loop_add(r.loop, r.fd, EPOLLIN, receive_accept, &r, &e) < 0) {
		rc = cmd_fail(&e);
		goto out;
	}
	printf("listening on %s\n", text);
	fflush(stdout);
	rc = loop_run(r.loop);
	refusals_end(&r.refusals, UINT64_MAX);
out:
	loop_free(r.loop); /* the descriptors end with the process */
	return rc;
}
