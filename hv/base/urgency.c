/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the priority of threads (see urgency.h). Linux keeps a nice value per thread, although POSIX
 * has one per process (setpriority(2), "C library/kernel differences"). No real-time class: a
 * thread that waits busily in it could keep a processor from everybody else.
 * Must never leave a thread in the background that cannot come back.
 */
#include "hv/base/urgency.h"

#include <sys/resource.h>
#include <unistd.h>

void urgency_set(enum urgency u)
{
	urgency_set_thread(0, u); /* setpriority() takes 0 for the calling thread */
}

void urgency_set_thread(pid_t tid, enum urgency u)
{
	static const int nice[] = {
		[URGENCY_BACKGROUND] = 10,
		[URGENCY_NORMAL] = 0,
		[URGENCY_HIGH] = -20,
	};
	struct rlimit l;

	/* A lower value takes CAP_SYS_NICE, which root has, or a limit of 20 - value. */
	if (geteuid() != 0 && (getrlimit(RLIMIT_NICE, &l) < 0 || l.rlim_cur < 40))
		return;
	setpriority(PRIO_PROCESS, (id_t)tid, nice[u]);
}
