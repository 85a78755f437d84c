/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of a measurement (see campaign.h). Must never return before every process it has
 * started is gone, and never let one system's failure end the others' turns.
 * Next in the flow: bench/move.c for each move, bench/report.c for the end.
 */
#include "bench/campaign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/fill.h"
#include "hv/base/clock.h"
#include "hv/base/size.h"

#define CAMPAIGN_STRIKES  2 /* turns in a row that may fail: a crowded machine is no verdict */
#define CAMPAIGN_GUESS_NS (6 * NSEC_PER_SEC) /* a move, before the first one is over */

/* The one case that runs, and where. */
struct stage {
	struct campaign *k;
	struct bench_ends *ends;
	struct progress *p;
	struct bench_series *series; /* of the case, n of them */
	unsigned n;
	struct bench_guest guest[2 * PLAN_SYSTEMS_MAX];
	bool up[2 * PLAN_SYSTEMS_MAX]; /* its guest is started and filled */
	bool keep;                     /* all guests fit beside each other */
	struct warm warm;              /* as much as a target needs, between moves */
	unsigned serial;
};

static int campaign_kvm(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "a guest needs KVM, and /dev/kvm cannot be opened");
	close(fd);
	return 0;
}

/* ---- starting a guest ---- */

/* The guest of series @i is there when this returns; a new one runs. */
static int campaign_up(struct stage *s, unsigned i, struct err *e)
{
	struct bench_series *r = &s->series[i];
	struct bench_guest *g = &s->guest[i];
	char size[32];
	int rc;

	if (s->up[i])
		return 0;
	*g = (struct bench_guest){ .sys = r->sys,
		.variant = r->variant,
		.config = r->config,
		.plan = s->k->plan,
		.ends = s->ends,
		.at = OBSERVED_NONE,
		.to = OBSERVED_NONE,
		.here.mem = -1,
		.there.mem = -1 };
	snprintf(g->name, sizeof(g->name), "bench-%u", s->serial++);
	progress_step(s->p, "%s: a guest of %s starts", r->label,
		size_format(r->config->memory, size, sizeof(size)));
	s->up[i] = true; /* whatever comes, it has to be ended */
	rc = r->sys->boot(g, e);
	if (rc < 0)
		return err_wrap(e, "starting the guest");
	rc = bench_fill(s->ends, &g->at, &r->fill_bytes, &r->fill_ns, e);
	return rc < 0 ? err_wrap(e, "filling the guest") : 0;
}

static void campaign_down(struct stage *s, unsigned i)
{
	if (s->up[i])
		s->series[i].sys->end(&s->guest[i]);
	s->up[i] = false;
}

/* ---- a turn ---- */

static unsigned campaign_left(const struct campaign *k, const struct bench_series *s)
{
	unsigned each = k->plan->runs + k->plan->warm_ups;

	return s->refused[0] ? 0 : each - s->warmed - s->done;
}

/* What is left to do, from what moves and starts have taken so far. */
static uint64_t campaign_eta(const struct campaign *k)
{
	uint64_t eta = 0, guess = 0;
	unsigned known = 0;

	for (unsigned i = 0; i < k->nseries; i++) {
		const struct bench_series *s = &k->series[i];

		guess += steps_total(&s->spent);
		known += s->moves;
	}
	guess = known ? guess / known : CAMPAIGN_GUESS_NS;
	for (unsigned i = 0; i < k->nseries; i++) {
		const struct bench_series *s = &k->series[i];
		uint64_t own = s->moves ? steps_total(&s->spent) / s->moves : guess;

		eta += campaign_left(k, s) * own;
	}
	return eta;
}

static void campaign_damage(struct progress *p, const struct verify_result *v)
{
	if (v->pages_differ)
		progress_line(p, "  %llu pages differ from the source, the first at 0x%llx",
			(unsigned long long)v->pages_differ, (unsigned long long)v->first_differ);
	if (v->stamps_bad)
		progress_line(p, "  %llu pages of the working set are bad, the first is page %llu",
			(unsigned long long)v->stamps_bad, (unsigned long long)v->first_bad);
	if (v->stamp_errors)
		progress_line(p, "  the guest itself found %llu bad stamps",
			(unsigned long long)v->stamp_errors);
}

static void campaign_say(
	struct stage *s, const struct bench_series *b, const char *which, const struct bench_run *r)
{
	char pause[32], freeze[32], seen[32], vmm[32], total[32], eta[32];

	if (r->failed) {
		progress_line(s->p, "%s, %s: did not move: %s", b->label, which, r->why);
		return;
	}
	progress_line(s->p,
		"%s, %s: away for %s (observer: %s; VMM: %s; longest pause %s); %s in all, %s; ETA %s",
		b->label, which, duration_format(bench_run_freeze_ns(r), freeze, sizeof(freeze)),
		duration_format(r->seen.moved_ns, seen, sizeof(seen)),
		duration_format(r->vmm.blackout.total_ns, vmm, sizeof(vmm)),
		duration_format(bench_run_blackout_ns(r), pause, sizeof(pause)),
		duration_format(r->vmm.total_ns, total, sizeof(total)),
		!r->verify_done             ? "not compared"
		: verify_passed(&r->verify) ? "verified"
					    : "NOT VERIFIED",
		duration_format(campaign_eta(s->k), eta, sizeof(eta)));
	campaign_damage(s->p, &r->verify);
}

/* A move that did not come to an end: once more, or no more. */
static void campaign_strike(struct stage *s, unsigned i, struct err *why)
{
	struct bench_series *r = &s->series[i];
	char words[200];

	if (r->sys != &bench_watari && ends_last_words(s->ends->peer_log, words, sizeof(words))[0])
		err_wrap(why, "%.200s", words);
	if (++r->strikes < CAMPAIGN_STRIKES) {
		progress_line(s->p, "%s: %s; once more with another guest", r->label, why->msg);
	} else {
		progress_line(s->p, "%s: %s; no more moves of it in this case", r->label, why->msg);
		snprintf(r->refused, sizeof(r->refused), "%.250s", why->msg);
	}
	if (r->sys == &bench_watari)
		ends_print_logs(s->ends, s->p->out);
	campaign_down(s, i);
}

static void campaign_done(
	struct stage *s, unsigned i, const char *which, bool warm, struct bench_run *run)
{
	struct bench_series *r = &s->series[i];

	r->strikes = 0;
	r->last_ns = run->failed ? r->last_ns : run->window_ns;
	for (unsigned step = 0; step < STEPS; step++)
		r->spent.ns[step] += run->steps.ns[step];
	r->moves++;
	if (!run->failed && !s->k->plan->still)
		quiet_join(&r->quiet, run);
	r->verify_failed |= run->verify_done && !verify_passed(&run->verify);
	if (warm) {
		r->warmed++;
	} else {
		r->failed += run->failed;
		r->run[r->done++] = *run;
	}
	campaign_say(s, r, which, run);
	if (warm)
		bench_run_free(run);
}

/*
 * A move of series @i, with another to follow if @more. 1: it came to an end; 0: it did not, which
 * is noted in the series; an error is the whole campaign's.
 */
static int campaign_move(
	struct stage *s, unsigned i, struct bench_chain *chain, bool more, struct err *e)
{
	struct bench_series *r = &s->series[i];
	const struct bench_plan *plan = s->k->plan;
	bool warm = r->warmed < plan->warm_ups;
	struct bench_how how = { .quiet_ns = plan->still ? r->last_ns
							 : quiet_wanted(&r->quiet, r->last_ns),
		.warm = &s->warm,
		.chain = chain,
		.more = more,
		.still = plan->still,
		/* The peer's guest verifies itself; comparing as well takes longer than moving. */
		.verify = r->sys == &bench_watari || plan->verify_peer || warm ||
			  r->done + 1 == plan->runs };
	struct bench_run run = { 0 };
	struct err why = { 0 };
	char which[32];
	int rc;

	snprintf(which, sizeof(which), warm ? "warm-up" : "move %u/%u", r->done + 1, plan->runs);
	steps_start(&run.steps, clock_mono_ns());
	rc = campaign_up(s, i, &why);
	steps_take(&run.steps, STEP_BOOT, clock_mono_ns());
	progress_step(s->p, "%s, %s", r->label, which);
	if (rc == 0 && !plan->still)
		rc = warm_fill(&s->warm, bench_config_filled(r->config), s->ends, &why);
	steps_take(&run.steps, STEP_WARM, clock_mono_ns());
	if (rc == 0)
		rc = bench_move(&s->guest[i], &how, s->p, &run, &why);
	if (rc == -ECANCELED) {
		*e = why;
		return rc;
	}
	if (rc < 0) {
		bench_chain_end(chain); /* it looks at the guest, which goes now */
		campaign_strike(s, i, &why);
		return 0;
	}
	campaign_done(s, i, which, warm, &run);
	return 1;
}

/* A turn of series @i: moves with one window between each two. */
static int campaign_turn(struct stage *s, unsigned i, struct err *e)
{
	unsigned left = campaign_left(s->k, &s->series[i]), turn = bench_plan_turn(s->k->plan);
	unsigned moves = left < turn ? left : turn;
	struct bench_chain chain = { 0 };
	int rc = 1;

	for (unsigned n = 0; n < moves && rc == 1; n++)
		rc = campaign_move(s, i, &chain, n + 1 < moves && !s->k->plan->still, e);
	bench_chain_end(&chain);
	if (!s->keep)
		campaign_down(s, i);
	return rc < 0 ? rc : 0;
}

/* ---- a case ---- */

static int campaign_case(struct stage *s, unsigned number, struct err *e)
{
	const struct bench_plan *plan = s->k->plan;
	const struct bench_config *c = &plan->cases[number];
	unsigned cpus = plan->pin.text ? (unsigned)CPU_COUNT(&plan->pin.set) : s->k->machine.cpus;
	unsigned each = bench_plan_turn(plan);
	unsigned turns = (plan->runs + plan->warm_ups + each - 1) / each;
	char title[256];
	int rc = 0;

	progress_line(s->p, "case %u/%u: %s", number + 1, plan->ncases,
		bench_config_title(c, title, sizeof(title)));
	if (c->vcpus > cpus)
		progress_line(s->p,
			"  %u vCPUs share %u processors: most pauses will be waits for one",
			c->vcpus, cpus);
	warm_release(&s->warm); /* it counts as taken, and the target's share is counted already */
	s->keep = bench_plan_fit(c, s->n) >= s->n;
	if (!s->keep)
		progress_line(s->p,
			"  memory is short: every move has a guest started for it, which takes longer");
	memset(s->up, 0, sizeof(s->up));
	for (unsigned turn = 0; turn < turns && rc == 0; turn++)
		for (unsigned i = 0; i < s->n && rc == 0; i++) {
			unsigned which = (turn + i) % s->n;

			if (!s->series[which].refused[0])
				rc = campaign_turn(s, which, e);
		}
	for (unsigned i = 0; i < s->n; i++)
		campaign_down(s, i);
	return rc;
}

/* The list of series: for each case every transport, then every mode of the peer. */
static int campaign_plan(struct campaign *k, struct err *e)
{
	const struct bench_plan *p = k->plan;
	unsigned each = p->transports + (p->peer && !k->no_peer[0] ? p->modes : 0);

	k->series = calloc((size_t)each * p->ncases, sizeof(*k->series));
	if (!k->series)
		return err_set(e, -ENOMEM, "no memory for %u series", each * p->ncases);
	k->nseries = each * p->ncases;
	for (unsigned i = 0; i < k->nseries; i++) {
		struct bench_series *s = &k->series[i];
		unsigned n = i % each;

		s->config = &p->cases[i / each];
		s->sys = n < p->transports ? &bench_watari : &bench_qemu;
		s->variant = n < p->transports ? p->transport[n] : p->mode[n - p->transports];
		snprintf(s->label, sizeof(s->label), "%s %.30s", s->sys->name, s->variant);
		s->run = calloc(p->runs, sizeof(*s->run));
		if (!s->run)
			return err_set(e, -ENOMEM, "no memory for %u runs", p->runs);
	}
	return 0;
}

static int campaign_stages(struct stage *s, struct bench_plan *plan, struct err *e)
{
	struct campaign *k = s->k;
	struct err why = { 0 };
	int rc = ends_listen(s->ends, e);

	if (rc < 0)
		return err_wrap(e, "starting the receivers");
	if (plan->peer && bench_peer_find(s->ends, plan, &why) < 0) {
		if (why.code == -ECANCELED)
			return err_set(e, why.code, "%s", why.msg);
		snprintf(k->no_peer, sizeof(k->no_peer), "%.250s", why.msg);
		progress_line(s->p, "no peer: %s", k->no_peer);
	} else if (plan->peer) {
		progress_line(s->p, "peer: %s, -cpu %s", plan->peer_version, plan->peer_cpu);
	}
	rc = campaign_plan(k, e);
	for (unsigned i = 0; i < plan->ncases && rc == 0; i++) {
		s->n = k->nseries / plan->ncases;
		s->series = &k->series[i * s->n];
		rc = campaign_case(s, i, e);
	}
	return rc;
}

int campaign_run(struct bench_plan *plan, struct progress *p, struct campaign *out, struct err *e)
{
	struct bench_ends x;
	struct stage s = { .k = out, .ends = &x, .p = p };
	uint64_t start = clock_mono_ns();
	int rc;

	*out = (struct campaign){ .plan = plan };
	rc = campaign_kvm(e);
	if (rc < 0)
		return rc;
	machine_look(&out->machine);
	if (out->machine.others > 0.2)
		progress_line(p,
			"others keep %.1f of %u processors busy (load %.1f): expect longer pauses",
			out->machine.others, out->machine.cpus, out->machine.load1);
	rc = ends_init(&x, e);
	x.pin = &plan->pin;
	x.pin_observer = &plan->pin_observer;
	if (rc == 0)
		rc = campaign_stages(&s, plan, e);
	progress_end(p);
	out->interrupted = rc == -ECANCELED;
	if (rc < 0 && rc != -ECANCELED)
		ends_print_logs(&x, stderr);
	for (unsigned i = 0; i < s.n; i++)
		campaign_down(&s, i);
	warm_release(&s.warm);
	ends_fini(&x);
	out->took_ns = clock_mono_ns() - start;
	return rc;
}

void campaign_free(struct campaign *k)
{
	for (unsigned i = 0; i < k->nseries; i++) {
		for (unsigned r = 0; r < k->series[i].done; r++)
			bench_run_free(&k->series[i].run[r]);
		free(k->series[i].run);
	}
	free(k->series);
	k->series = NULL;
	k->nseries = 0;
}

unsigned bench_series_moved(const struct bench_series *s)
{
	return s->done - s->failed;
}

bool campaign_passed(const struct campaign *k)
{
	for (unsigned i = 0; i < k->nseries; i++) {
		const struct bench_series *s = &k->series[i];

		if (s->sys != &bench_watari)
			continue;
		if (s->verify_failed || s->refused[0] || s->failed || s->done < k->plan->runs)
			return false;
		for (unsigned r = 0; r < s->done; r++)
			if (!bench_run_verified(&s->run[r]))
				return false;
	}
	return true;
}
