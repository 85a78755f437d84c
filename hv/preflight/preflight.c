/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the table of checks and how it is run (see preflight.h). Must never judge a fact: the checks
 * do. Next in the flow: check_reach.c, the first of them.
 */
#include "hv/preflight/preflight.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hv/preflight/checks.h"

static const struct pf_check *const checks[] = {
	&pf_check_reach,
	&pf_check_versions,
	&pf_check_transport,
	&pf_check_cpu,
	&pf_check_tsc,
	&pf_check_lan,
	&pf_check_link_speed,
	&pf_check_mtu,
	&pf_check_ports,
	&pf_check_way_back,
	&pf_check_disks,
	&pf_check_disk_locks,
	&pf_check_memory,
	&pf_check_huge_pages,
	&pf_check_memlock,
	&pf_check_numa,
	&pf_check_nets,
	&pf_check_name,
	&pf_check_kernel,
	&pf_check_space,
	&pf_check_clock,
	&pf_check_time_sync,
	&pf_check_duration,
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))
_Static_assert(CHECKS <= PF_CHECKS_MAX, "a report has room for every check");

const char *pf_level_name(enum pf_level l)
{
	static const char *const names[] = {
		[PF_PASS] = "pass",
		[PF_SKIPPED] = "skipped",
		[PF_WARN] = "warn",
		[PF_FAIL] = "fail",
	};

	return names[l];
}

const struct pf_check *pf_check_at(unsigned i)
{
	return i < CHECKS ? checks[i] : NULL;
}

static int check_number(const char *name, size_t len)
{
	for (unsigned i = 0; i < CHECKS; i++) {
		if (strlen(checks[i]->name) == len && memcmp(checks[i]->name, name, len) == 0)
			return (int)i;
	}
	return -1;
}

const struct pf_check *pf_check_find(const char *name)
{
	int i = check_number(name, strlen(name));

	return i < 0 ? NULL : checks[i];
}

int pf_skip_parse(const char *names, uint64_t *skip, struct err *e)
{
	for (const char *p = names; *p;) {
		size_t len = strcspn(p, ",");
		int i = check_number(p, len);

		if (i < 0)
			return err_set(e, -EINVAL,
				"there is no check '%.*s'; 'watari check' lists them", (int)len, p);
		if (!(checks[i]->flags & PF_MAY_SKIP))
			return err_set(e, -EPERM, "check %s cannot be skipped: %s", checks[i]->name,
				checks[i]->why);
		*skip |= 1ull << i;
		p += len + (p[len] == ',');
	}
	return 0;
}

const char *pf_skip_format(uint64_t skip, char *buf, size_t n)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < CHECKS; i++) {
		if (skip >> i & 1 && at < n)
			at += (size_t)snprintf(
				buf + at, n - at, "%s%s", at ? "," : "", checks[i]->name);
	}
	return buf;
}

void pf_find(struct pf_result *r, enum pf_level l, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	/* A warning beside a failure is kept, a good word is not. */
	if (l < r->level && l == PF_PASS)
		return;
	if (r->level == PF_PASS && l != PF_PASS)
		r->said[0] = '\0';
	if (l > r->level)
		r->level = l;
	n = strlen(r->said);
	if (n && n + 2 < sizeof(r->said)) {
		strcpy(r->said + n, "; ");
		n += 2;
	}
	va_start(ap, fmt);
	vsnprintf(r->said + n, sizeof(r->said) - n, fmt, ap);
	va_end(ap);
}

void pf_run(const struct pf_facts *src, const struct pf_facts *dst, uint64_t skip, bool thorough,
	struct pf_report *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < CHECKS; i++) {
		const struct pf_check *c = checks[i];
		struct pf_result *r = &out->row[out->n].r;

		if (!thorough && c->flags & PF_THOROUGH)
			continue;
		out->row[out->n++].check = c;
		if (skip >> i & 1)
			pf_find(r, PF_SKIPPED, "not looked at, as was asked");
		else if (src->unreached[0] && !(c->flags & (PF_ALONE | PF_BEFORE_ALL)))
			pf_find(r, PF_WARN, "not known: the target did not say");
		else
			c->run(src, dst, r);
		if (r->level > out->worst)
			out->worst = r->level;
	}
}

int pf_report_error(const struct pf_report *p, struct err *e)
{
	char all[ERR_MSG_MAX] = "";
	unsigned failed = 0;

	for (unsigned i = 0; i < p->n; i++) {
		size_t n = strlen(all);

		if (p->row[i].r.level != PF_FAIL)
			continue;
		snprintf(all + n, sizeof(all) - n, "%s%s: %s", failed ? "; " : "",
			p->row[i].check->name, p->row[i].r.said);
		failed++;
	}
	if (!failed)
		return 0;
	return err_set(e, -EPERM, "%s failed: %s",
		failed == 1 ? "a check before the move" : "checks before the move", all);
}
