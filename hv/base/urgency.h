/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How urgent the work of a thread is. On a host whose processors are all busy, copying guest memory
 * should take the time that guests leave over; but while a guest is frozen for a move, nothing on
 * the host is more urgent than its next instruction.
 * Next in the flow: hv/migrate/pump_source.c.
 */
#ifndef WATARI_BASE_URGENCY_H
#define WATARI_BASE_URGENCY_H

#include <sys/types.h>

enum urgency {
	URGENCY_BACKGROUND, /* stands back behind ordinary threads */
	URGENCY_NORMAL,
	URGENCY_HIGH, /* for milliseconds only: goes before ordinary threads */
};

/*
 * Sets it for the calling thread. Does nothing if this process may not come back from BACKGROUND
 * or go to HIGH (no CAP_SYS_NICE, RLIMIT_NICE below 40): a blackout must not be served from behind.
 * Never fails.
 */
void urgency_set(enum urgency u);
/* ... for thread @tid of this process (gettid()). */
void urgency_set_thread(pid_t tid, enum urgency u);

#endif
