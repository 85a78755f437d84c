/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a measurement on one machine: two runtime directories and a `watari receive`
 * in each. Guests are started beside them (system.h). All are child processes of this one.
 * Invariant: after ends_fini() no process and no file of the measurement is left, however it ended.
 * One thread. Between ends_init() and ends_fini() SIGINT, SIGTERM and SIGHUP arrive here only.
 * Next in the flow: observe.h.
 */
#ifndef WATARI_BENCH_ENDS_H
#define WATARI_BENCH_ENDS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench/pin.h"
#include "hv/base/err.h"

#define ENDS_PATH_MAX 256

struct bench_end {
	char dir[ENDS_PATH_MAX]; /* its runtime directory */
	char out[ENDS_PATH_MAX]; /* what its processes print on stdout, and */
	char log[ENDS_PATH_MAX]; /* on stderr */
	pid_t receiver;          /* 0: none */
	uint16_t port;           /* it listens on, at 127.0.0.1 */
};

struct bench_ends {
	char base[ENDS_PATH_MAX];     /* "" before it is made */
	char kernel[ENDS_PATH_MAX];   /* the bench guest's ELF */
	char peer_log[ENDS_PATH_MAX]; /* what a peer's processes print on stderr */
	struct bench_end end[2];
	pid_t leaving; /* a child that was told to end, ends_leave(); 0: none */
	int signals;   /* signalfd */
	sigset_t old_mask;
	/* Processors its processes, and the observer, are confined to; NULL: wherever they may. */
	const struct pin *pin, *pin_observer;
};

/* Makes the directories and takes over the signals. 0 or negative errno; then call ends_fini(). */
int ends_init(struct bench_ends *x, struct err *e);
/* Starts a receiver at end @n on @host, any port; @trust: it may be reached from elsewhere. */
int ends_listen_on(
	struct bench_ends *x, struct bench_end *n, const char *host, bool trust, struct err *e);
/* Starts both receivers on this host; returns once both listen. */
int ends_listen(struct bench_ends *x, struct err *e);

/* A program to start as a child, found by PATH if its name has no slash. */
struct ends_child {
	const char *program;
	const char *out, *log; /* files its stdout and stderr are added to */
	const char *dir;       /* its WATARI_RUNTIME_DIR */
	int keep_fd;           /* a descriptor it inherits, -1: none */
};
int ends_spawn(const struct bench_ends *x, const struct ends_child *c, const char *const *args,
	pid_t *pid, struct err *e);
/* A watari at end @n. */
struct ends_child ends_self(const struct bench_end *n);
/*
 * 0, or -ECHILD with a sentence if child *@pid (called @what) has ended, -ENOENT if its program
 * could not be started; then *@pid is 0.
 */
int ends_alive(pid_t *pid, const char *what, struct err *e);

/* Child @pid has been told to end, and may do so while other things are done. */
void ends_leave(struct bench_ends *x, pid_t pid);
/* Waits until it has, and after a while makes it: before anything is measured. */
void ends_left(struct bench_ends *x);

/*
 * Sleeps up to @ms, or until a signal asks to end (-ECANCELED, named in @e). @fd (-1: none) being
 * readable ends the sleep early. 0 otherwise.
 */
int ends_wait(struct bench_ends *x, int fd, int ms, struct err *e);
/* Copies to @to what the children wrote on stderr, with a heading each; nothing if they did not. */
void ends_print_logs(const struct bench_ends *x, FILE *to);
/* The last line of text in file @path into @buf, "" if there is none; returns @buf. */
const char *ends_last_words(const char *path, char *buf, size_t n);
/* Ends and reaps every child, removes every file, gives the signals back. */
void ends_fini(struct bench_ends *x);

/* Writes the guest's ELF, carried in this binary, to @path. */
int ends_write_guest(const char *path, struct err *e);

#endif
