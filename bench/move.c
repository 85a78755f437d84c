/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of a measured move (see move.h): rate before, gaps restarted, the move itself,
 * the guest found again, gaps read, and only then a pause to verify. Nothing of the measuring may
 * fall into the window that is measured but a write to the report page before the move starts.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/move.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>

#include "hv/base/clock.h"
#include "hv/ctl/client.h"

#define MOVE_BEFORE_MS   400 /* window of the rate before */
#define MOVE_AFTER_MS    200 /* after the thaw: disturbances there count as well */
#define MOVE_POLL_MS     2
#define MOVE_SETTLE_NS   (10 * NSEC_PER_SEC) /* for what takes milliseconds when all is well */
#define MOVE_TIMEOUT_NS  (300 * NSEC_PER_SEC)
#define MOVE_PROGRESS_MS 100

static uint64_t move_lost(const struct bench_run *r)
{
	return r->lost_ns > BENCH_CLOCK_NOISE_NS ? r->lost_ns : 0;
}

uint64_t bench_run_blackout_ns(const struct bench_run *r)
{
	return r->gap_ns + move_lost(r);
}

uint64_t bench_run_freeze_ns(const struct bench_run *r)
{
	return r->freeze_ns + move_lost(r);
}

static double move_rate(const struct observe_sample *a, const struct observe_sample *b)
{
	uint64_t ns = b->count_ns - a->count_ns;

	return ns ? (double)(b->written - a->written) * 1e9 / (double)ns : 0;
}

/* Restarts the gaps and waits until every vCPU has. */
static int move_arm(struct bench_ends *x, const struct observed *o, struct err *e)
{
	uint64_t generation = observe_gap_reset(o), end = clock_mono_ns() + MOVE_SETTLE_NS;
	int rc = 0;

	while (rc == 0 && !observe_gap_armed(o, generation)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not run");
		rc = ends_wait(x, -1, MOVE_POLL_MS, e);
	}
	return rc;
}

/* The lines of a move until its answer: 0 and the result, or the guest's own words. */
static int move_follow(struct bench_ends *x, struct ctl_client *k, struct progress *p,
	struct mig_result *out, struct err *e)
{
	uint64_t end = clock_mono_ns() + MOVE_TIMEOUT_NS;
	struct mig_progress m;
	json_t *line = NULL;
	int rc;

	for (;;) {
		rc = ctl_client_recv(k, &line, 0, e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "the move does not end");
		if (rc == 0) {
			rc = ends_wait(x, ctl_client_fd(k), MOVE_PROGRESS_MS, e);
			if (rc == 0)
				continue;
		}
		if (rc < 0)
			return rc;
		if (!json_object_get(line, "event"))
			break;
		if (ctl_progress_read(line, &m, NULL) == 0)
			progress_move(p, &m);
		json_decref(line);
	}
	rc = ctl_answer_check(line, e);
	if (rc == 0)
		rc = ctl_result_read(json_object_get(line, "result"), out, e);
	json_decref(line);
	return rc;
}

static int move_ask(struct bench_ends *x, const struct bench_config *c, int from,
	struct progress *p, struct mig_result *out, struct err *e)
{
	struct ctl_client *k = NULL;
	char to[64];
	json_t *request;
	int rc;

	snprintf(to, sizeof(to), "127.0.0.1:%u", x->end[!from].port);
	request = json_pack("{s:s,s:s,s:s,s:I,s:s}", "op", "migrate", "to", to, "transport",
		c->transport, "downtime_limit_ns", (json_int_t)c->downtime_limit_ns, "on_stall",
		"throttle");
	if (!request)
		return err_set(e, -ENOMEM, "no memory for a request");
	rc = ctl_client_open(&k, x->end[from].dir, ENDS_NAME, e);
	if (rc == 0)
		rc = ctl_client_send(k, request, e);
	if (rc == 0)
		rc = move_follow(x, k, p, out, e);
	ctl_client_close(k);
	json_decref(request);
	return rc;
}

/* Finds the guest at end @at and waits until every vCPU has ticked there. */
static int move_find(struct bench_ends *x, int at, const struct observed *before,
	struct observed *o, struct err *e)
{
	uint64_t end = clock_mono_ns() + MOVE_SETTLE_NS, beats[BENCH_CPUS_MAX];
	int rc = observe_attach(o, x->end[at].dir, ENDS_NAME, e);

	if (rc == 0)
		rc = observe_header(o, e);
	observe_beats(before, beats); /* final: the guest does not run there any more */
	while (rc == 0 && !observe_ticked(o, beats)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not run at the target");
		rc = ends_wait(x, -1, MOVE_POLL_MS, e);
	}
	return rc;
}

/* Waits until the process that the guest has left is gone, which is not yet so when it answers. */
static int move_source_gone(struct bench_ends *x, const struct observed *o, struct err *e)
{
	uint64_t end = clock_mono_ns() + MOVE_SETTLE_NS;
	struct pollfd p = { .fd = o->pidfd, .events = POLLIN };
	int rc = 0;

	while (rc == 0 && poll(&p, 1, 0) == 0) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the source's process does not end");
		rc = ends_wait(x, o->pidfd, MOVE_PROGRESS_MS, e);
	}
	return rc;
}

static int move_verify(struct bench_ends *x, int at, const struct observed *from,
	const struct observed *to, struct verify_result *v, struct err *e)
{
	struct err ignored = { 0 };
	int rc = ctl_ask(x->end[at].dir, ENDS_NAME, "pause", NULL, e);

	if (rc < 0)
		return rc;
	rc = verify_compare(from, to, v, e);
	if (rc == 0)
		rc = verify_stamps(to, v, e);
	if (ctl_ask(x->end[at].dir, ENDS_NAME, "resume", NULL, rc == 0 ? e : &ignored) < 0 &&
		rc == 0)
		rc = e ? e->code : -EIO;
	return rc;
}

/* From the request on: the move, the guest found again, what it saw. */
static int move_measure(struct bench_ends *x, const struct bench_config *c, int from,
	const struct observed *o, struct observed *to, struct progress *p, struct bench_run *out,
	struct err *e)
{
	struct observe_sample start, end;
	int rc;
	uint64_t gap_end;
	int64_t lost;

	observe_sample(o, &start);
	rc = move_ask(x, c, from, p, &out->vmm, e);
	if (rc < 0)
		return err_wrap(e, "move");
	rc = move_find(x, !from, o, to, e);
	if (rc == 0) {
		out->freeze_ns = observe_freeze_ns(o, to); /* soon: notes are overwritten */
		observe_sample(to, &end);
	}
	if (rc == 0)
		rc = ends_wait(x, -1, MOVE_AFTER_MS, e);
	if (rc < 0)
		return err_wrap(e, "finding the guest at the target");
	out->rate_during = move_rate(&start, &end);
	out->gap_source_ns = observe_gap_ns(o, NULL);
	out->gap_ns = observe_gap_ns(to, &gap_end);
	if (out->freeze_ns == 0)
		out->freeze_ns = out->gap_ns;
	out->gap_end_ns = observe_ticks_ns(to, gap_end - start.tsc);
	lost = (int64_t)(end.mono_ns - start.mono_ns) -
	       (int64_t)((unsigned __int128)(end.tsc - start.tsc) * 1000000 / to->h.tsc_khz);
	out->lost_ns = lost > 0 ? (uint64_t)lost : 0;
	return 0;
}

int bench_move(struct bench_ends *x, const struct bench_config *c, int from, struct observed *o,
	struct progress *p, struct bench_run *out, struct err *e)
{
	struct observed to = OBSERVED_NONE;
	struct observe_sample a, b;
	int rc;

	*out = (struct bench_run){ 0 };
	observe_sample(o, &a);
	rc = ends_wait(x, -1, MOVE_BEFORE_MS, e);
	observe_sample(o, &b);
	out->rate_before = move_rate(&a, &b);
	if (rc == 0)
		rc = move_arm(x, o, e);
	if (rc == 0)
		rc = move_measure(x, c, from, o, &to, p, out, e);
	if (rc == 0)
		rc = move_source_gone(x, o, e);
	if (rc == 0) {
		rc = move_verify(x, !from, o, &to, &out->verify, e);
		if (rc < 0)
			err_wrap(e, "verifying");
	}
	if (rc < 0) {
		observe_detach(&to);
		return rc;
	}
	observe_detach(o);
	*o = to;
	return 0;
}
