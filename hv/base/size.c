/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the text form of sizes and durations (see size.h). Must never guess: what it does not
 * understand is an error. */
#include "hv/base/size.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int number_bad(const char *s, const char *what, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "%s '%s' %s", what, s, why);
}

int size_parse(const char *s, uint64_t *bytes, struct err *e)
{
	static const char units[] = "KMGT";
	const char *why = "is not a size (write for example 512M or 4G)";
	unsigned long long v;
	unsigned shift = 0;
	char *end;

	errno = 0;
	if (!isdigit((unsigned char)s[0]))
		return number_bad(s, "size", why, e);
	v = strtoull(s, &end, 10);
	if (errno)
		return number_bad(s, "size", "is too large", e);
	if (*end) {
		const char *u = strchr(units, toupper((unsigned char)*end));

		if (u) {
			shift = 10 * (unsigned)(u - units + 1);
			end++;
		}
		if (strcmp(end, "") != 0 && strcmp(end, "iB") != 0 && strcmp(end, "B") != 0)
			return number_bad(s, "size", why, e);
	}
	if (shift && v >> (64 - shift))
		return number_bad(s, "size", "is too large", e);
	*bytes = (uint64_t)v << shift;
	return 0;
}

int duration_parse(const char *s, uint64_t *ns, struct err *e)
{
	static const struct {
		const char *suffix;
		double ns;
	} units[] = { { "", 1e6 }, { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 },
		{ "m", 60e9 } };
	char *end;
	double v;

	if (!isdigit((unsigned char)s[0]))
		return number_bad(
			s, "duration", "is not a duration (write for example 10ms or 2s)", e);
	v = strtod(s, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		v *= units[i].ns;
		if (!isfinite(v) || v > 1e18)
			return number_bad(s, "duration", "is too long", e);
		*ns = (uint64_t)v;
		return 0;
	}
	return number_bad(s, "duration", "is not a duration (write for example 10ms or 2s)", e);
}

int number_parse(
	const char *s, const char *what, uint64_t lo, uint64_t hi, uint64_t *v, struct err *e)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = isdigit((unsigned char)s[0]) ? strtoull(s, &end, 10) : 0;
	if (!isdigit((unsigned char)s[0]) || *end || errno || n < lo || n > hi)
		return err_set(e, -EINVAL, "%s '%s' is not a whole number from %llu to %llu", what,
			s, (unsigned long long)lo, (unsigned long long)hi);
	*v = n;
	return 0;
}

const char *size_format(uint64_t bytes, char *buf, size_t n)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	snprintf(buf, n, u == 0 ? "%.0f %s" : v < 10 ? "%.2f %s" : "%.1f %s", v, units[u]);
	return buf;
}

const char *duration_format(uint64_t ns, char *buf, size_t n)
{
	if (ns < 1000000ull)
		snprintf(buf, n, "%.0f us", (double)ns / 1e3);
	else if (ns < 1000000000ull)
		snprintf(buf, n, "%.2f ms", (double)ns / 1e6);
	else
		snprintf(buf, n, "%.2f s", (double)ns / 1e9);
	return buf;
}
