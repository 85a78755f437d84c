/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list syntax of pin.h. Must never take a processor that this process may not use: it
 * would be left out in silence, and what was measured is not what was asked for. Next in the flow:
 * bench/plan.c.
 */
#include "bench/pin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pin_have(cpu_set_t *have)
{
	CPU_ZERO(have);
	if (sched_getaffinity(0, sizeof(*have), have) < 0)
		CPU_SET(0, have); /* more than CPU_SETSIZE processors */
}

/* A number at *@text, which moves behind it. -1: none there, or one beyond all bounds. */
static long pin_number(const char **text)
{
	char *end = NULL;
	long v;

	if (**text < '0' || **text > '9')
		return -1;
	errno = 0;
	v = strtol(*text, &end, 10);
	*text = end;
	return errno ? -1 : v;
}

static int pin_range(const char *option, const char *text, long lo, long hi, const cpu_set_t *have,
	cpu_set_t *set, struct err *e)
{
	char may[128];

	for (long cpu = lo; cpu <= hi; cpu++) {
		if (cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, have))
			return err_set(e, -EINVAL,
				"--%s '%.100s': there is no processor %ld here that this process "
				"may use; there is %s",
				option, text, cpu, pin_format(have, may, sizeof(may)));
		CPU_SET((size_t)cpu, set);
	}
	return 0;
}

int pin_parse(
	const char *option, const char *text, const cpu_set_t *have, struct pin *out, struct err *e)
{
	const char *at = text;
	int rc;

	out->text = text;
	CPU_ZERO(&out->set);
	for (;;) {
		long lo = pin_number(&at), hi = lo;

		if (lo >= 0 && *at == '-') {
			at++;
			hi = pin_number(&at);
		}
		if (lo < 0 || hi < lo || (*at != ',' && *at != '\0'))
			return err_set(e, -EINVAL,
				"--%s '%.100s' is no list of processors such as 0-3,6", option,
				text);
		rc = pin_range(option, text, lo, hi, have, &out->set, e);
		if (rc < 0 || *at == '\0')
			return rc;
		at++;
	}
}

int pin_parse_one(
	const char *option, const char *text, const cpu_set_t *have, struct pin *out, struct err *e)
{
	int rc = pin_parse(option, text, have, out, e);

	if (rc == 0 && CPU_COUNT(&out->set) != 1)
		rc = err_set(e, -EINVAL, "--%s '%.100s': one processor is wanted, not %d", option,
			text, CPU_COUNT(&out->set));
	return rc;
}

const char *pin_format(const cpu_set_t *set, char *buf, size_t n)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t lo = 0; lo < CPU_SETSIZE && at < n; lo++) {
		size_t hi = lo;

		if (!CPU_ISSET(lo, set))
			continue;
		while (hi + 1 < CPU_SETSIZE && CPU_ISSET(hi + 1, set))
			hi++;
		at += (size_t)snprintf(
			buf + at, n - at, hi > lo ? "%s%zu-%zu" : "%s%zu", at ? "," : "", lo, hi);
		lo = hi;
	}
	return buf;
}
