/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `watari bench downtime` is asked for: the cases, every combination of the values given, and
 * the systems that each case is measured with. Text in; starts nothing, but asks the machine
 * what it can hold.
 * Next in the flow: campaign.h.
 */
#ifndef WATARI_BENCH_PLAN_H
#define WATARI_BENCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/config.h"
#include "bench/pin.h"
#include "hv/base/err.h"

#define PLAN_CASES_MAX     256
#define PLAN_SYSTEMS_MAX   12 /* of one case */
#define PLAN_TURNS         5  /* of a system in a case, at least, if it makes so many moves */
#define PLAN_TURN_MAX      4  /* moves of one */
#define PLAN_PEER_MODES    3  /* of the peer if none is asked for: all but postcopy */
#define PLAN_PEER_CHANNELS 2  /* of QEMU's multifd */

struct bench_plan {
	struct bench_config *cases;
	unsigned ncases;
	const char *transport[PLAN_SYSTEMS_MAX]; /* watari once for each, */
	unsigned transports;
	const char *mode[PLAN_SYSTEMS_MAX]; /* the peer once for each */
	unsigned modes;
	unsigned runs;     /* counted moves of each system in each case */
	unsigned warm_ups; /* not counted, before them */
	bool peer;
	const char *peer_binary;
	char peer_cpu[64], peer_version[96]; /* found by bench_peer_find() */
	bool still;                          /* no moves: windows without one in their place */
	bool verify_peer;                    /* the peer's memory is compared after every move */
	struct pin pin, pin_observer;        /* of guests and VMMs; of the observer */
	const char *json, *html;             /* paths, "-" for stdout, or NULL */
	const char *target;                  /* HOST:PORT of a `watari bench target`, or NULL */
	char *command;                       /* as it was typed, to repeat it; or NULL */
	char *arena[16];                     /* what lists were split into */
	unsigned arenas;
};

/* The defaults: one case, watari over tcp, five moves. bench_plan_fini() in any case. */
int bench_plan_init(struct bench_plan *p, struct err *e);
void bench_plan_fini(struct bench_plan *p);
/* Keeps the words of the command for the report. */
void bench_plan_command(struct bench_plan *p, int argc, char **argv);
/* Option --@name with @value, for a case's options a list. -EINVAL names option and value. */
int bench_plan_set(struct bench_plan *p, const char *name, const char *value, struct err *e);
/*
 * What only the whole can tell: every case fits itself, and this machine, which must hold a guest
 * and its copy. -EINVAL, -ENOMEM.
 */
int bench_plan_check(const struct bench_plan *p, struct err *e);
/*
 * How many moves a system makes in one turn: as many as leave every system PLAN_TURNS turns in a
 * case, so that none has a quiet minute to itself; between the moves of a turn one window does for
 * two.
 */
unsigned bench_plan_turn(const struct bench_plan *p);
/* How many guests of @c beside one being moved this machine can hold now, at most @want. */
unsigned bench_plan_fit(const struct bench_config *c, unsigned want);

#endif
