/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processors a measurement's processes are confined to, where that was asked for. Text in,
 * text out; confines nothing by itself.
 * Next in the flow: plan.h holds what was asked for; ends.h and watch.h do it.
 */
#ifndef WATARI_BENCH_PIN_H
#define WATARI_BENCH_PIN_H

#include <sched.h>
#include <stddef.h>

#include "hv/base/err.h"

struct pin {
	const char *text; /* as it was given, the caller's; NULL: not pinned */
	cpu_set_t set;
};

/* What this process may use now. */
void pin_have(cpu_set_t *have);
/*
 * --@option with @text, a list such as 0-3,6, all of it in @have. -EINVAL with a sentence that
 * names what is no list, or the processor that there is not.
 */
int pin_parse(const char *option, const char *text, const cpu_set_t *have, struct pin *out,
	struct err *e);
/* The same for one processor. */
int pin_parse_one(const char *option, const char *text, const cpu_set_t *have, struct pin *out,
	struct err *e);
/* @set as a list into @buf of @n bytes, cut off if it is too long; returns @buf. */
const char *pin_format(const cpu_set_t *set, char *buf, size_t n);

#endif
