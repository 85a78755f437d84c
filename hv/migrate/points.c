/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns dying on purpose (see points.h). Must never do anything unless it is asked for by name.
 * Next in the flow: tests/kvm/crash.bats.
 */
#include "hv/migrate/points.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"

void mig_points_read(struct mig_points *p)
{
	p->crash = getenv("WATARI_CRASH_AT");
	p->cut = getenv("WATARI_CUT_AT");
}

static bool point_is_tcp(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM;
}

static void point_cut(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (fd > 2 && point_is_tcp(fd))
			shutdown(fd, SHUT_RDWR);
	}
	if (d)
		closedir(d);
}

void mig_point(
	const struct mig_points *p, const char *name, const struct xport_ops *ops, struct xport *x)
{
	bool crash = p->crash && strcmp(p->crash, name) == 0;
	uint64_t now, end = clock_mono_ns() + 20 * NSEC_PER_MSEC;
	struct xport_event ignored;

	if (!crash && !(p->cut && strcmp(p->cut, name) == 0))
		return;
	/* What was posted before is to be on its way; all that comes now is lost. */
	while ((now = clock_mono_ns()) < end && ops->poll(x, end - now, &ignored, 1, NULL) >= 0)
		;
	if (crash)
		kill(getpid(), SIGKILL);
	point_cut();
}

void mig_stall(uint64_t ns)
{
	uint64_t end = clock_mono_ns() + ns;

	while (clock_mono_ns() < end)
		usleep(50);
}
