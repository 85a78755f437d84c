/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the looking for a usable QEMU: its version, and the most complete CPU model that starts
 * here. Must never leave a process behind.
 * Next in the flow: bench/system_qemu.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/plan.h"
#include "bench/qmp.h"
#include "bench/system.h"
#include "hv/base/clock.h"

#define PEER_START_NS (15 * NSEC_PER_SEC)
#define PEER_POLL_MS  10

/* From the most complete on. A KVM without some MSRs ends QEMU when it starts with the first. */
static const char *const peer_cpus[] = { "host", "host,-arch-capabilities", "max", "qemu64" };

static void peer_reap(pid_t *pid)
{
	if (*pid == 0)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

/* Starts a machine with @cpu that never runs, and asks it for its version. */
static int peer_try(
	struct bench_ends *x, struct bench_plan *p, const char *cpu, unsigned n, struct err *e)
{
	char path[ENDS_PATH_MAX], qmp[ENDS_PATH_MAX + 32];
	const char *const args[] = { p->peer_binary, "-nodefaults", "-no-user-config", "-display",
		"none", "-machine", "q35,accel=kvm", "-cpu", cpu, "-m", "64M", "-S", "-qmp", qmp,
		NULL };
	const struct ends_child child = { .program = p->peer_binary,
		.out = x->end[0].out,
		.log = x->peer_log,
		.dir = x->end[0].dir,
		.keep_fd = -1 };
	uint64_t end = clock_mono_ns() + PEER_START_NS;
	struct err why = { 0 };
	struct qmp *q = NULL;
	json_t *v = NULL;
	pid_t pid = 0;
	int rc;

	snprintf(path, sizeof(path), "%.170s/peer.%u", x->base, n);
	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", path);
	rc = ends_spawn(x, &child, args, &pid, e);
	while (rc == 0 && qmp_open(&q, path, &why) < 0) {
		rc = ends_alive(&pid, p->peer_binary, e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "QEMU does not answer: %.300s", why.msg);
		if (rc == 0)
			rc = ends_wait(x, -1, PEER_POLL_MS, e);
	}
	if (rc == 0)
		rc = qmp_call(q, "query-version", NULL, &v, e);
	if (rc == 0) {
		int major = 0, minor = 0, micro = 0;
		const char *package = "";

		json_unpack(v, "{s:{s:i,s:i,s:i},s?s}", "qemu", "major", &major, "minor", &minor,
			"micro", &micro, "package", &package);
		snprintf(p->peer_version, sizeof(p->peer_version), "QEMU %d.%d.%d %.60s", major,
			minor, micro, package);
		snprintf(p->peer_cpu, sizeof(p->peer_cpu), "%s", cpu);
	}
	json_decref(v);
	qmp_close(q);
	peer_reap(&pid);
	return rc;
}

int bench_peer_find(struct bench_ends *x, struct bench_plan *p, struct err *e)
{
	int rc = -ENOENT;

	for (unsigned i = 0; i < sizeof(peer_cpus) / sizeof(peer_cpus[0]) && rc < 0; i++) {
		rc = peer_try(x, p, peer_cpus[i], i, e);
		if (rc == -ECANCELED)
			break;
	}
	if (rc < 0 && rc != -ECANCELED)
		err_wrap(e, "%s cannot be used (Debian: qemu-system-x86)", p->peer_binary);
	return rc;
}
