/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the comparison of predicted and measured steps (see foretold.h). Must never count a move
 * that did not take place, or whose system predicts only the whole. Next in the flow:
 * bench/report.c.
 */
#include "bench/foretold.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats.h"
#include "hv/base/size.h"

#define STEP(what)                                                                                 \
	{                                                                                          \
#what, offsetof(struct mig_blackout, what##_ns)                                    \
	}

static const struct foretold_step {
	const char *name;
	size_t offset;
} steps[] = { STEP(stop), STEP(harvest), STEP(residual), STEP(save), STEP(send), STEP(load),
	STEP(start) };
#define STEPS (sizeof(steps) / sizeof(steps[0]))

struct foretold {
	double took, predicted, off; /* us, medians */
};

static double foretold_us(const struct mig_blackout *b, const struct foretold_step *step)
{
	uint64_t ns;

	memcpy(&ns, (const char *)b + step->offset, sizeof(ns));
	return (double)ns / 1e3;
}

static double foretold_median(double *v, size_t n)
{
	struct stats st;

	stats_of(v, n, &st);
	return st.median;
}

/* False: there is nothing to compare. */
static bool foretold_of(
	const struct bench_series *s, const struct foretold_step *step, struct foretold *out)
{
	double *v = calloc(s->done ? 3 * s->done : 1, sizeof(*v));
	double *took = v, *said = v + s->done, *off = v + 2 * s->done;
	size_t n = 0;

	for (unsigned i = 0; v && i < s->done; i++) {
		const struct bench_run *r = &s->run[i];

		if (r->failed || r->vmm.predicted.total_ns == 0)
			continue;
		took[n] = foretold_us(&r->vmm.blackout, step);
		said[n] = foretold_us(&r->vmm.predicted, step);
		off[n] = fabs(took[n] - said[n]);
		n++;
	}
	if (n)
		*out = (struct foretold){ foretold_median(took, n), foretold_median(said, n),
			foretold_median(off, n) };
	free(v);
	return n > 0;
}

static const char *foretold_time(double us, char *buf, size_t n)
{
	return duration_format((uint64_t)(us * 1e3), buf, n);
}

void foretold_tell(const struct bench_series *s, FILE *out)
{
	char took[32], said[32], off[32];
	struct foretold f;

	for (size_t i = 0; i < STEPS && foretold_of(s, &steps[i], &f); i++) {
		if (i == 0)
			fprintf(out, "  %-10s %10s %10s %10s   (medians; load is part of send)\n",
				"step", "took", "predicted", "off by");
		fprintf(out, "  %-10s %10s %10s %10s\n", steps[i].name,
			foretold_time(f.took, took, sizeof(took)),
			foretold_time(f.predicted, said, sizeof(said)),
			foretold_time(f.off, off, sizeof(off)));
	}
}

json_t *foretold_json(const struct bench_series *s)
{
	json_t *j = json_object();
	struct foretold f;

	for (size_t i = 0; i < STEPS && foretold_of(s, &steps[i], &f); i++)
		json_object_set_new(j, steps[i].name,
			json_pack("{s:f,s:f,s:f}", "took_us", f.took, "predicted_us", f.predicted,
				"off_us", f.off));
	if (json_object_size(j))
		return j;
	json_decref(j);
	return NULL;
}
