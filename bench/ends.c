/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the measurement's processes and files (see ends.h). A guest that arrives is a grandchild, so
 * this process makes itself their reaper: when a receiver ends, its guests become children here.
 * Must never signal a process that it has not started, itself or through a child.
 * Next in the flow: bench/observe.c.
 */
#include "bench/ends.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define ENDS_START_NS (10 * NSEC_PER_SEC)
#define ENDS_STOP_NS  (3 * NSEC_PER_SEC)
#define ENDS_LEAVE_NS (5 * NSEC_PER_SEC)
#define ENDS_POLL_MS  5

/* How a child ends that has not become what it should: as a shell has it. */
#define ENDS_NOT_PINNED  126
#define ENDS_NOT_STARTED 127

extern const char bench_guest_elf[], bench_guest_elf_end[];

int ends_write_guest(const char *path, struct err *e)
{
	size_t n = (size_t)(bench_guest_elf_end - bench_guest_elf), done = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_errno(e, "cannot create %s", path);
	while (done < n) {
		ssize_t k = write(fd, bench_guest_elf + done, n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			err_errno(e, "cannot write %s", path);
			close(fd);
			return e ? e->code : -EIO;
		}
		done += (size_t)k;
	}
	if (close(fd) < 0)
		return err_errno(e, "cannot write %s", path);
	return 0;
}

static int ends_signals(struct bench_ends *x, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, &x->old_mask) < 0)
		return err_errno(e, "cannot block signals");
	x->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (x->signals < 0)
		return err_errno(e, "cannot make a signalfd");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(e, "cannot become the reaper of the guests");
	return 0;
}

int ends_init(struct bench_ends *x, struct err *e)
{
	const char *top = getenv("XDG_RUNTIME_DIR");
	int rc;

	memset(x, 0, sizeof(*x));
	sigprocmask(SIG_SETMASK, NULL, &x->old_mask);
	x->signals = -1;
	rc = ends_signals(x, e);
	if (rc < 0)
		return rc;
	if (!top || top[0] != '/' || strlen(top) > ENDS_PATH_MAX / 2 || access(top, W_OK) < 0)
		top = "/tmp";
	snprintf(x->base, ENDS_PATH_MAX / 2 + 32, "%s/watari-bench.XXXXXX", top);
	if (!mkdtemp(x->base)) {
		x->base[0] = '\0';
		return err_errno(e, "cannot make a directory under %s", top);
	}
	for (int i = 0; i < 2; i++) {
		struct bench_end *n = &x->end[i];

		/* base is at most ENDS_PATH_MAX / 2 + 32 long: these all fit. */
		snprintf(n->dir, sizeof(n->dir), "%.170s/end%d", x->base, i);
		snprintf(n->out, sizeof(n->out), "%.170s/end%d.out", x->base, i);
		snprintf(n->log, sizeof(n->log), "%.170s/end%d.log", x->base, i);
		if (mkdir(n->dir, 0700) < 0)
			return err_errno(e, "cannot make %s", n->dir);
	}
	snprintf(x->peer_log, sizeof(x->peer_log), "%.170s/peer.log", x->base);
	snprintf(x->kernel, sizeof(x->kernel), "%.170s/guest.elf", x->base);
	return ends_write_guest(x->kernel, e);
}

/* In the child: nothing but what is safe after fork; the parent has one thread all the same. */
static _Noreturn void ends_exec(
	const struct bench_ends *x, const struct ends_child *c, const char *const *args)
{
	const struct rlimit locked = { RLIM_INFINITY, RLIM_INFINITY };
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(c->out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int log = open(c->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	/* Its own group: a Ctrl-C at the terminal is this process's to handle, in order. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &x->old_mask, NULL);
	/* Descriptors it was not given would keep the memory of other guests alive. */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	/* For what pins memory (zero-copy, RDMA): whoever may raise the limit gets no limit. */
	setrlimit(RLIMIT_MEMLOCK, &locked);
	if (c->keep_fd >= 0)
		fcntl(c->keep_fd, F_SETFD, 0);
	if (x->pin && x->pin->text && sched_setaffinity(0, sizeof(x->pin->set), &x->pin->set) < 0)
		_exit(ENDS_NOT_PINNED);
	if (in >= 0 && out >= 0 && log >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 &&
		dup2(log, 2) == 2 && setenv("WATARI_RUNTIME_DIR", c->dir, 1) == 0 &&
		setenv("WATARI_STATE_DIR", c->dir, 1) == 0)
		execvp(c->program, (char *const *)args);
	_exit(ENDS_NOT_STARTED);
}

int ends_spawn(const struct bench_ends *x, const struct ends_child *c, const char *const *args,
	pid_t *pid, struct err *e)
{
	fflush(NULL);
	*pid = fork();
	if (*pid < 0) {
		*pid = 0;
		return err_errno(e, "cannot start %s %s", args[0], args[1]);
	}
	if (*pid == 0)
		ends_exec(x, c, args);
	return 0;
}

int ends_alive(pid_t *pid, const char *what, struct err *e)
{
	int status;

	if (waitpid(*pid, &status, WNOHANG) != *pid)
		return 0;
	*pid = 0;
	if (WIFSIGNALED(status))
		return err_set(e, -ECHILD, "%s was ended by signal %d", what, WTERMSIG(status));
	if (WEXITSTATUS(status) == ENDS_NOT_STARTED)
		return err_set(e, -ENOENT,
			"%s cannot be started: it is not installed, or may not be run", what);
	if (WEXITSTATUS(status) == ENDS_NOT_PINNED)
		return err_set(
			e, -EINVAL, "%s cannot be pinned: a processor of --pin has gone", what);
	return err_set(e, -ECHILD, "%s ended with status %d", what, WEXITSTATUS(status));
}

int ends_wait(struct bench_ends *x, int fd, int ms, struct err *e)
{
	struct pollfd p[2] = { { .fd = x->signals, .events = POLLIN },
		{ .fd = fd, .events = POLLIN } };
	struct signalfd_siginfo s;

	if (poll(p, 2, ms) > 0 && p[0].revents && read(x->signals, &s, sizeof(s)) == sizeof(s))
		return err_set(
			e, -ECANCELED, "ended by a signal (%s)", strsignal((int)s.ssi_signo));
	return 0;
}

void ends_leave(struct bench_ends *x, pid_t pid)
{
	ends_left(x); /* one at a time */
	x->leaving = pid;
}

void ends_left(struct bench_ends *x)
{
	uint64_t end = clock_mono_ns() + ENDS_LEAVE_NS;

	while (x->leaving && waitpid(x->leaving, NULL, WNOHANG) == 0) {
		if (clock_mono_ns() > end)
			kill(x->leaving, SIGKILL);
		poll(NULL, 0, ENDS_POLL_MS);
	}
	x->leaving = 0;
}

/* The port in "listening on ADDR:PORT" once that line is whole in @n's output; 0 before. */
static uint16_t ends_port(const struct bench_end *n)
{
	FILE *f = fopen(n->out, "re");
	char line[256];
	unsigned port = 0, found;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (strchr(line, '\n') && strncmp(line, "listening on ", 13) == 0 &&
			sscanf(strrchr(line, ':') + 1, "%u", &found) == 1)
			port = found;
	fclose(f);
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

struct ends_child ends_self(const struct bench_end *n)
{
	return (struct ends_child){
		.program = "/proc/self/exe",
		.out = n->out,
		.log = n->log,
		.dir = n->dir,
		.keep_fd = -1,
	};
}

int ends_listen_on(
	struct bench_ends *x, struct bench_end *n, const char *host, bool trust, struct err *e)
{
	char address[ENDS_PATH_MAX];
	const char *const args[] = { "watari", "receive", "--listen", address,
		trust ? "--trust-network" : NULL, NULL };
	uint64_t end = clock_mono_ns() + ENDS_START_NS;
	const struct ends_child child = ends_self(n);
	int rc;

	snprintf(address, sizeof(address), strchr(host, ':') ? "[%.200s]:0" : "%.200s:0", host);
	rc = ends_spawn(x, &child, args, &n->receiver, e);
	while (rc == 0 && (n->port = ends_port(n)) == 0) {
		rc = ends_alive(&n->receiver, "watari receive", e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "watari receive does not say that it listens");
		if (rc == 0)
			rc = ends_wait(x, -1, ENDS_POLL_MS, e);
	}
	return rc;
}

int ends_listen(struct bench_ends *x, struct err *e)
{
	int rc = ends_listen_on(x, &x->end[0], "127.0.0.1", false, e);

	return rc < 0 ? rc : ends_listen_on(x, &x->end[1], "127.0.0.1", false, e);
}

void ends_print_logs(const struct bench_ends *x, FILE *to)
{
	for (int i = 0; i < 2; i++) {
		FILE *f = x->base[0] ? fopen(x->end[i].log, "re") : NULL;
		char line[512];
		bool first = true;

		if (!f)
			continue;
		while (fgets(line, sizeof(line), f)) {
			if (first)
				fprintf(to, "--- end %d said:\n", i);
			first = false;
			fputs(line, to);
		}
		fclose(f);
	}
}

const char *ends_last_words(const char *path, char *buf, size_t n)
{
	FILE *f = fopen(path, "re");
	char line[256];

	buf[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			snprintf(buf, n, "%s", line);
	}
	if (f)
		fclose(f);
	return buf;
}

/* Signals every child of this process, those it became the reaper of included. */
static void ends_kill_children(int signal)
{
	char path[64];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		kill(pid, signal);
	fclose(f);
}

/* Reaps until no child is left (true) or @until has passed. */
static bool ends_reap(uint64_t until)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			continue;
		if (clock_mono_ns() > until)
			return false;
		poll(NULL, 0, ENDS_POLL_MS);
	}
}

static int ends_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void ends_fini(struct bench_ends *x)
{
	struct signalfd_siginfo s;

	ends_kill_children(SIGTERM);
	/* A receiver that ends leaves its guests to this process: they are killed in a second go.
	 */
	for (int i = 0;
		i < 3 && !ends_reap(clock_mono_ns() + (i ? ENDS_STOP_NS : ENDS_STOP_NS / 3)); i++)
		ends_kill_children(SIGKILL);
	if (x->base[0])
		nftw(x->base, ends_remove, 16, FTW_DEPTH | FTW_PHYS);
	x->base[0] = '\0';
	if (x->signals >= 0) {
		/* What asked this measurement to end has been answered. */
		while (read(x->signals, &s, sizeof(s)) == sizeof(s))
			;
		close(x->signals);
	}
	x->signals = -1;
	sigprocmask(SIG_SETMASK, &x->old_mask, NULL);
}
