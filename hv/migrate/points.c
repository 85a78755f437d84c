/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns dying on purpose (see points.h). Must never do anything unless it is asked for by name.
 * Next in the flow: tests/kvm/crash.bats.
 */
#include "hv/migrate/points.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void mig_points_read(struct mig_points *p)
{
	p->crash = getenv("WATARI_CRASH_AT");
	p->cut = getenv("WATARI_CUT_AT");
}

bool mig_point_crashes(const struct mig_points *p, const char *name)
{
	return p->crash && strcmp(p->crash, name) == 0;
}

bool mig_point_cuts(const struct mig_points *p, const char *name)
{
	return p->cut && strcmp(p->cut, name) == 0;
}

_Noreturn void mig_point_crash(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static bool point_is_tcp(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM;
}

void mig_point_cut(void)
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
