/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns `watari bench target`: the far end of a measurement between two hosts. Runs a `watari
 * receive`, looks at the guest that arrives, and answers in lines what the near end cannot see:
 *   hello                    -> watari-bench-target 1 PORT-OF-THE-RECEIVER
 *   clock                    -> this host's CLOCK_MONOTONIC, ns
 *   arrive NAME CPUS         -> ok; from now on it looks for that guest
 *   report BEAT TSC...       -> ok FIRST BEFORE FREEZE LONGEST: when the first vCPU first showed a
 *                               heartbeat beyond BEAT, and the look before that (ns, this host's
 *                               clock); the pause that began at each vCPU's TSC and the longest of
 *                               all (ns, the guest's clock)
 *   end NAME                 -> ok; the guest is gone
 * Must never take more from the near end than these bounded lines.
 * Next in the flow: bench/remote.c, the near end.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/ends.h"
#include "bench/line.h"
#include "bench/observe.h"
#include "hv/base/clock.h"
#include "hv/ctl/client.h"
#include "hv/migrate/xport.h"

#define FAR_LOOK_NS    100000 /* between two looks at a guest that arrives */
#define FAR_PRIORITY   20     /* SCHED_FIFO, where that is allowed */
#define FAR_CHANGES    8192   /* noted: all of the copying, and half a second of running */
#define FAR_SETTLE_NS  (200 * NSEC_PER_MSEC)
#define FAR_GIVE_UP_NS (10 * NSEC_PER_SEC)

struct far_change {
	uint64_t beat, now, before; /* first seen, and the look before */
};

struct far {
	struct bench_ends ends;
	int fd;
	char name[32];
	unsigned cpus;
	bool looking;
	struct observed o;
	uint64_t looked, beat;
	struct far_change *change; /* of FAR_CHANGES */
	unsigned changes;
};

struct far_args {
	const char *listen;
	bool trust;
};

enum { KEY_TRUST = 0x100 };

static const struct argp_option options[] = {
	{ "listen", 'l', "ADDR:PORT", 0, "where the near end asks (default: 127.0.0.1:4870)", 0 },
	{ "trust-network", KEY_TRUST, NULL, 0,
		"whoever reaches ADDR may bring a guest here and end it", 0 },
	{ 0 },
};

static error_t far_parse(int key, char *arg, struct argp_state *state)
{
	struct far_args *a = state->input;

	switch (key) {
	case 'l': a->listen = arg; break;
	case KEY_TRUST: a->trust = true; break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", arg); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp far_argp = {
	.options = options,
	.parser = far_parse,
	.doc = "The far end of watari bench downtime --target: receives guests and tells what they saw.",
};

/* ---- looking ---- */

static void far_forget(struct far *f)
{
	observe_detach(&f->o);
	f->looking = false;
	f->changes = 0;
	f->looked = f->beat = 0;
}

static void far_look(struct far *f)
{
	struct bench_slot slot;
	uint64_t off = 0, now;

	if (f->o.fd < 0 && observe_attach(&f->o, f->ends.end[0].dir, f->name, NULL) < 0)
		return;
	if (!observe_offset(&f->o, BENCH_REPORT_GPA + offsetof(struct bench_report, cpu),
		    sizeof(slot), &off) ||
		pread(f->o.fd, &slot, sizeof(slot), (off_t)off) != (ssize_t)sizeof(slot))
		return;
	now = clock_mono_ns();
	if (slot.heartbeat != f->beat && f->changes < FAR_CHANGES)
		f->change[f->changes++] = (struct far_change){
			.beat = slot.heartbeat, .now = now, .before = f->looked ? f->looked : now
		};
	f->beat = slot.heartbeat;
	f->looked = now;
}

static const struct far_change *far_first(const struct far *f, uint64_t beat)
{
	for (unsigned i = 0; i < f->changes; i++)
		if (f->change[i].beat > beat)
			return &f->change[i];
	return NULL;
}

/* ---- answers ---- */

/* A guest's name as the near end makes them: nothing that could be a path. */
static bool far_name(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name) &&
	       name[0] != '-';
}

/* The guest's report once it works here, and @from standing in for the source's. */
static int far_report(struct far *f, char *words, char *answer, size_t n, struct err *e)
{
	const struct timespec pause = { .tv_nsec = FAR_LOOK_NS };
	uint64_t end = clock_mono_ns() + FAR_GIVE_UP_NS, beat = strtoull(words, &words, 10);
	const struct far_change *first = NULL;
	struct bench_report *source = calloc(1, sizeof(*source));
	struct observed from = { .report = source };
	int rc = source ? 0 : err_set(e, -ENOMEM, "no memory");

	for (unsigned i = 0; i < f->cpus && rc == 0; i++)
		source->cpu[i].tsc = strtoull(words, &words, 10);
	while (rc == 0 && !(first = far_first(f, beat))) {
		far_look(f);
		nanosleep(&pause, NULL);
		if (clock_mono_ns() > end || f->changes == FAR_CHANGES)
			rc = err_set(e, -ETIMEDOUT, "the guest does not run here");
	}
	if (rc == 0)
		rc = observe_header(&f->o, e);
	if (rc == 0) {
		uint64_t freeze = observe_freeze_ns(&from, &f->o);

		rc = ends_wait(&f->ends, -1, FAR_SETTLE_NS / NSEC_PER_MSEC, e);
		snprintf(answer, n, "ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			first->now, first->before, freeze, observe_gap_ns(&f->o, NULL));
	}
	free(source);
	return rc;
}

static void far_line(struct far *f, char *line, char *answer, size_t n)
{
	struct err e = { 0 };
	int rc = 0;

	snprintf(answer, n, "ok\n");
	if (strcmp(line, "hello") == 0) {
		snprintf(answer, n, "watari-bench-target 1 %u\n", f->ends.end[0].port);
	} else if (strcmp(line, "clock") == 0) {
		snprintf(answer, n, "%" PRIu64 "\n", clock_mono_ns());
	} else if (strncmp(line, "arrive ", 7) == 0) {
		far_forget(f);
		if (sscanf(line, "arrive %31s %u", f->name, &f->cpus) != 2 || !far_name(f->name) ||
			f->cpus == 0 || f->cpus > BENCH_CPUS_MAX)
			rc = err_set(&e, -EINVAL, "no such guest can arrive");
		f->looking = rc == 0;
	} else if (strncmp(line, "report ", 7) == 0 && f->looking) {
		rc = far_report(f, line + 7, answer, n, &e);
	} else if (strncmp(line, "end ", 4) == 0 && far_name(line + 4)) {
		far_forget(f);
		ctl_kill(f->ends.end[0].dir, line + 4, NULL, NULL);
	} else {
		rc = err_set(&e, -EPROTO, "what is '%.60s'", line);
	}
	if (rc < 0)
		snprintf(answer, n, "error %.400s\n", e.msg);
}

/* One near end, until it goes away (0) or a signal comes (-ECANCELED). */
static int far_session(struct far *f, struct err *e)
{
	const struct timespec pause = { .tv_nsec = FAR_LOOK_NS };
	char line[LINE_MAX_BYTES], answer[LINE_MAX_BYTES];
	int rc;

	for (;;) {
		char byte;

		rc = ends_wait(&f->ends, f->fd, f->looking ? 0 : 1000, e);
		if (rc < 0)
			return rc;
		if (recv(f->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
			(errno == EAGAIN || errno == EINTR)) {
			if (f->looking) {
				far_look(f);
				nanosleep(&pause, NULL);
			}
			continue;
		}
		if (line_hear(f->fd, line, NULL) < 0)
			return 0;
		far_line(f, line, answer, sizeof(answer));
		if (line_say(f->fd, answer, NULL) < 0)
			return 0;
	}
}

static int far_serve(struct far *f, const struct far_args *a, struct err *e)
{
	const struct sched_param priority = { .sched_priority = FAR_PRIORITY };
	char host[XPORT_HOST_MAX];
	int listener = line_socket(a->listen, true, host, e), rc = listener;

	if (rc >= 0) /* then a descriptor */
		rc = ends_listen_on(&f->ends, &f->ends.end[0], host, a->trust, e);
	if (rc == 0 && fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
		rc = err_errno(e, "cannot wait on %s", a->listen);
	/* As the observer at the near end: what looks may not wait behind what is looked at. */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
	if (rc == 0) {
		printf("serving on %s\n", a->listen);
		fflush(stdout);
	}
	while (rc == 0) {
		rc = ends_wait(&f->ends, listener, 1000, e);
		f->fd = rc == 0 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
		if (f->fd < 0)
			continue;
		rc = far_session(f, e);
		close(f->fd);
		far_forget(f);
	}
	if (listener >= 0)
		close(listener);
	return rc;
}

int bench_target_main(int argc, char **argv, bench_transports at)
{
	struct far_args a = { .listen = "127.0.0.1:4870" };
	struct far f = { .o = OBSERVED_NONE };
	struct err e = { 0 };
	int rc;

	(void)at;
	if (argp_parse(&far_argp, argc, argv, 0, NULL, &a) != 0)
		return 2;
	f.change = calloc(FAR_CHANGES, sizeof(*f.change));
	rc = f.change ? ends_init(&f.ends, &e) : err_set(&e, -ENOMEM, "no memory");
	if (rc == 0)
		rc = far_serve(&f, &a, &e);
	if (rc < 0 && rc != -ECANCELED) {
		fprintf(stderr, "watari: bench: %s\n", e.msg);
		ends_print_logs(&f.ends, stderr);
	}
	ends_fini(&f.ends);
	free(f.change);
	return rc == -ECANCELED ? 0 : 1;
}
