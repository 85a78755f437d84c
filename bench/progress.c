/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the drawing of progress (see progress.h). Must never leave a half-drawn line before an
 * error or the table.
 * Next in the flow: bench/report.c.
 */
#include "bench/progress.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/size.h"

#define CLEAR_LINE "\r\033[K"

void progress_init(struct progress *p, FILE *out)
{
	*p = (struct progress){ .out = out, .live = isatty(fileno(out)) == 1 };
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs(CLEAR_LINE, p->out);
	p->drawn = false;
	fflush(p->out);
}

void progress_step(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	progress_end(p);
	va_start(ap, fmt);
	vsnprintf(p->prefix, sizeof(p->prefix), fmt, ap);
	va_end(ap);
	fprintf(p->out, p->live ? "%s" : "%s\n", p->prefix);
	p->drawn = p->live;
	fflush(p->out);
}

void progress_line(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	progress_end(p);
	va_start(ap, fmt);
	vfprintf(p->out, fmt, ap);
	va_end(ap);
	fputc('\n', p->out);
	fflush(p->out);
}

const char *progress_format(const struct mig_progress *m, char *buf, size_t n)
{
	char rate[32], residual[32], eta[32];

	snprintf(buf, n, "%-6s round %-2u %6.2f GiB  %s/s  residual %s  ETA %s",
		mig_phase_name(m->phase), m->round, (double)m->sent_bytes / (double)(1ull << 30),
		size_format(m->goodput, rate, sizeof(rate)),
		size_format(m->residual_bytes, residual, sizeof(residual)),
		m->eta_ns ? duration_format(m->eta_ns, eta, sizeof(eta)) : "-");
	return buf;
}

void progress_move(struct progress *p, const struct mig_progress *m)
{
	char line[160];

	if (!p->live)
		return;
	fprintf(p->out, CLEAR_LINE "%s  %s", p->prefix, progress_format(m, line, sizeof(line)));
	p->drawn = true;
	fflush(p->out);
}
