/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the priority of threads (see urgency.h). Linux keeps a nice value per thread, although POSIX
 * has one per process (setpriority(2), "C library/kernel differences").
 *
 * A nice value counts only among the threads of one scheduling group: a control group, or with
 * sched_autogroup_enabled a session (sched(7), "The autogroup feature"). Against everybody else on
 * the host, nice -20 has no force at all, and a thread that wakes up waits until whoever runs has
 * had its slice of some milliseconds. So what is urgent is in a real-time class, at its lowest
 * priority: that counts on the whole host. What is urgent sleeps while it waits, lasts for
 * milliseconds, and the kernel keeps a share for all others beside it (sched_rt_runtime_us).
 *
 * Must never leave a thread in the background, or before others, that cannot come back.
 */
#include "hv/base/urgency.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define URGENCY_RT 1 /* the lowest: the host's own real-time threads go before */

void urgency_set(enum urgency u)
{
	urgency_set_thread(0, u); /* both calls take 0 for the calling thread */
}

void urgency_set_thread(pid_t tid, enum urgency u)
{
	static const int nice[] = {
		[URGENCY_BACKGROUND] = 10,
		[URGENCY_NORMAL] = 0,
		[URGENCY_HIGH] = -20,
	};
	const struct sched_param rt = { .sched_priority = URGENCY_RT }, fair = { 0 };
	struct rlimit l;

	/* A lower value takes CAP_SYS_NICE, which root has, or a limit of 20 - value. */
	if (geteuid() != 0 && (getrlimit(RLIMIT_NICE, &l) < 0 || l.rlim_cur < 40))
		return;
	setpriority(PRIO_PROCESS, (id_t)tid, nice[u]);
	/* Not allowed (RLIMIT_RTPRIO, or a group without real-time): the nice value is what is
	 * left. */
	if (u == URGENCY_HIGH)
		sched_setscheduler(tid, SCHED_RR, &rt);
	else
		sched_setscheduler(tid, SCHED_OTHER, &fair);
}
