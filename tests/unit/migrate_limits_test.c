/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of the phases and the cancel: whatever runs out or is cancelled at whatever step of a
 * move, the guest is thawed exactly if it was frozen, and never after the commit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/migrate/cancel.h"
#include "hv/migrate/quiesce.h"
#include "hv/migrate/source.h"
#include "tests/lib/source_copy.h"

/* A whole move, a millisecond from step to step. */
static const struct source_event steps[] = {
	SOURCE_COPY_EVENTS,
	{ .type = SOURCE_EV_SAVED, .a = 20000 },
	{ .type = SOURCE_EV_LOADED, .a = 300000 },
	{ .type = SOURCE_EV_RELEASED },
	{ .type = SOURCE_EV_THAWED },
};
#define STEPS         (sizeof(steps) / sizeof(steps[0]))
#define STEP_LOADED   10
#define STEP_NS       NSEC_PER_MSEC
#define ANSWER_NS     (10 * NSEC_PER_SEC)
#define FAR_FUTURE_NS (1000 * NSEC_PER_SEC)

struct sim {
	struct source s;
	uint64_t now;
	unsigned freezes, thaws, commits;
	bool acquire; /* the machine asks for it */
};

static void sim_init(struct sim *m, const struct mig_limits *l)
{
	struct source_params p = {
		.downtime_limit_ns = NSEC_PER_SEC, .answer_timeout_ns = ANSWER_NS, .limits = *l
	};

	memset(m, 0, sizeof(*m));
	source_init(&m->s, &p);
}

static void sim_feed(struct sim *m, struct source_event ev, uint64_t after)
{
	struct source_todo d;

	m->now += after;
	ev.now = m->now;
	source_step(&m->s, &ev);
	while (source_todo(&m->s, &d)) {
		m->freezes += d.type == SOURCE_DO_FREEZE;
		m->commits += d.type == SOURCE_DO_COMMIT;
		m->acquire = m->acquire || d.type == SOURCE_DO_ACQUIRE;
		if (d.type != SOURCE_DO_THAW)
			continue;
		m->thaws++;
		/* one owner: after the commit only if the target promised not to run it */
		assert_true(m->commits == 0 || (m->s.promised && ev.type == SOURCE_EV_ACQUIRED));
	}
	if (m->acquire) {
		m->acquire = false;
		sim_feed(m, (struct source_event){ .type = SOURCE_EV_ACQUIRED }, 0);
	}
}

static void sim_walk(struct sim *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sim_feed(m, steps[i], STEP_NS);
}

/* Given up, thawed exactly if frozen; or committed, and then for good. */
static void sim_check_end(const struct sim *m)
{
	if (m->commits && m->s.state != SOURCE_GIVEN_UP) {
		assert_true(m->s.state == SOURCE_DONE || m->s.state == SOURCE_IN_DOUBT);
		assert_int_equal(m->thaws, 0);
		return;
	}
	assert_int_equal(m->s.state, SOURCE_GIVEN_UP);
	assert_int_equal(m->thaws, m->freezes);
	assert_true(m->s.err.msg[0] != '\0');
}

static void a_cancel_in_any_phase_thaws_exactly_if_frozen(void **state)
{
	static const char *const phase[STEPS] = { "init", "init", "init", "copy", "copy", "copy",
		"quiesce", "frozen", "frozen", "frozen", "frozen" };
	struct mig_limits l;

	(void)state;
	mig_limits_default(&l);
	for (size_t n = 0; n <= STEP_LOADED; n++) {
		struct sim m;

		sim_init(&m, &l);
		sim_walk(&m, n);
		sim_feed(&m, (struct source_event){ .type = SOURCE_EV_CANCEL }, STEP_NS);
		assert_int_equal(m.s.state, SOURCE_GIVEN_UP);
		assert_int_equal(m.s.err.code, -ECANCELED);
		assert_non_null(strstr(m.s.err.msg, phase[n]));
		assert_int_equal(m.freezes, n >= 6);
		sim_check_end(&m);
	}
}

static void a_cancel_after_the_commit_changes_nothing(void **state)
{
	struct mig_limits l;
	struct sim m;

	(void)state;
	mig_limits_default(&l);
	sim_init(&m, &l);
	sim_walk(&m, STEP_LOADED + 1);
	sim_feed(&m, (struct source_event){ .type = SOURCE_EV_CANCEL }, STEP_NS);
	assert_int_equal(m.s.state, SOURCE_RELEASE);
	sim_feed(&m, steps[STEP_LOADED + 1], STEP_NS);
	sim_feed(&m, (struct source_event){ .type = SOURCE_EV_CANCEL }, STEP_NS);
	assert_int_equal(m.s.state, SOURCE_WAIT_THAWED);
	sim_feed(&m, steps[STEP_LOADED + 2], STEP_NS);
	assert_int_equal(m.s.state, SOURCE_DONE);
	sim_check_end(&m);
}

/* Every event there is, at every step, after every one of some waits, under every single limit. */
static void whatever_comes_late_the_guest_has_one_owner(void **state)
{
	static const uint64_t waits[] = { 0, STEP_NS, ANSWER_NS, FAR_FUTURE_NS };
	unsigned ends = 0, late = 0;

	(void)state;
	for (unsigned limit = 0; limit <= MIG_LIMITS; limit++) {
		for (size_t n = 0; n <= STEPS; n++) {
			for (unsigned w = 0; w < 4; w++) {
				for (int type = 0; type < SOURCE_EVENTS; type++) {
					struct mig_limits l = { { 0 } };
					struct sim m;

					if (limit < MIG_LIMITS)
						l.ns[limit] = NSEC_PER_SEC;
					sim_init(&m, &l);
					sim_walk(&m, n);
					sim_feed(&m,
						(struct source_event){
							.type = (enum source_event_type)type,
							.a = 1 },
						waits[w]);
					late += m.s.err.code == -ETIMEDOUT;
					/* and then the target or the link is gone for good */
					sim_feed(&m,
						(struct source_event){ .type = SOURCE_EV_DOWN },
						STEP_NS);
					sim_check_end(&m);
					ends++;
				}
			}
		}
	}
	print_message("%u schedules, %u of them past a limit\n", ends, late);
	assert_true(late > 0);
}

static void each_limit_fires_in_its_own_phase_alone(void **state)
{
	/* steps after which the machine waits in that phase, one and the last */
	static const size_t at[MIG_LIMITS][2] = { { 1, 2 }, { 3, 5 }, { 6, 6 }, { 7, 10 } };

	(void)state;
	for (unsigned limit = 0; limit < MIG_LIMITS; limit++) {
		for (size_t n = 1; n <= STEP_LOADED; n++) {
			struct mig_limits l = { { 0 } };
			bool mine = n >= at[limit][0] && n <= at[limit][1];
			struct sim m;

			l.ns[limit] = NSEC_PER_SEC;
			sim_init(&m, &l);
			sim_walk(&m, n);
			assert_int_equal(limits_phase(&m.s) == limit, mine);
			assert_int_equal(limits_deadline(&m.s) != UINT64_MAX, mine);
			sim_feed(&m, (struct source_event){ .type = SOURCE_EV_TICK },
				2 * NSEC_PER_SEC);
			assert_int_equal(m.s.state == SOURCE_GIVEN_UP, mine);
			if (!mine)
				continue;
			assert_int_equal(m.s.err.code, -ETIMEDOUT);
			assert_non_null(strstr(m.s.err.msg, mig_limit_name(limit)));
			sim_check_end(&m);
		}
	}
}

static void a_limit_is_a_duration_or_none(void **state)
{
	struct mig_limits l;
	struct err e = { 0 };
	uint64_t ns = 1;

	(void)state;
	mig_limits_default(&l);
	assert_int_equal(l.ns[MIG_LIMIT_INIT], 30 * NSEC_PER_SEC);
	assert_int_equal(l.ns[MIG_LIMIT_COPY], 0);
	assert_int_equal(l.ns[MIG_LIMIT_QUIESCE], 5 * NSEC_PER_SEC);
	assert_int_equal(l.ns[MIG_LIMIT_FROZEN], NSEC_PER_SEC);
	assert_int_equal(mig_limit_parse(MIG_LIMIT_INIT, "none", &ns, &e), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(mig_limit_parse(MIG_LIMIT_INIT, "250ms", &ns, &e), 0);
	assert_int_equal(ns, 250 * NSEC_PER_MSEC);
	assert_true(mig_limit_parse(MIG_LIMIT_COPY, "0", &ns, &e) < 0);
	assert_non_null(strstr(e.msg, "--copy-timeout '0'"));
	assert_true(mig_limit_parse(MIG_LIMIT_FROZEN, "soon", &ns, &e) < 0);
	assert_non_null(strstr(e.msg, "--frozen-timeout"));
	assert_non_null(strstr(e.msg, "soon"));
	assert_true(mig_limit_parse(MIG_LIMIT_FROZEN, "99999999s", &ns, &e) < 0);
}

static void a_frozen_limit_below_the_downtime_limit_is_a_contradiction(void **state)
{
	struct mig_limits l;
	struct err e = { 0 };

	(void)state;
	mig_limits_default(&l);
	assert_int_equal(mig_limits_check(&l, NSEC_PER_SEC, &e), 0);
	assert_int_equal(mig_limits_check(&l, NSEC_PER_SEC + 1, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "--downtime-limit"));
	l.ns[MIG_LIMIT_FROZEN] = 0;
	assert_int_equal(mig_limits_check(&l, 60 * NSEC_PER_SEC, &e), 0);
	assert_int_equal(mig_limits_frozen_for(10 * NSEC_PER_MSEC), NSEC_PER_SEC);
	assert_int_equal(mig_limits_frozen_for(3 * NSEC_PER_SEC), 6 * NSEC_PER_SEC);
}

/* ---- who was first --------------------------------------------------------------------------- */

struct duel {
	int word;
	pthread_barrier_t start;
	bool cancelled;
};

static void *duel_cancel(void *arg)
{
	struct duel *d = arg;

	pthread_barrier_wait(&d->start);
	d->cancelled = mig_cancel(&d->word);
	return NULL;
}

static void either_the_cancel_or_the_commit_is_first(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct duel d = { 0 };
		bool committed;
		pthread_t t;

		pthread_barrier_init(&d.start, NULL, 2);
		assert_int_equal(pthread_create(&t, NULL, duel_cancel, &d), 0);
		pthread_barrier_wait(&d.start);
		committed = mig_may_commit(&d.word);
		pthread_join(t, NULL);
		pthread_barrier_destroy(&d.start);
		assert_int_equal(committed, !d.cancelled);
		/* and it stays so, however often somebody asks */
		assert_int_equal(mig_cancel(&d.word), d.cancelled);
		assert_int_equal(mig_may_commit(&d.word), committed);
		assert_int_equal(mig_is_cancelled(&d.word), d.cancelled);
	}
}

/* ---- the watch over a freeze ----------------------------------------------------------------- */

struct sleeper {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned abandoned;
};

static void sleeper_abandon(void *arg)
{
	struct sleeper *v = arg;

	pthread_mutex_lock(&v->lock);
	v->abandoned++;
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
}

static const struct mig_vm_ops sleeper_ops = { .freeze_abandon = sleeper_abandon };

static void a_freeze_in_time_is_left_alone_and_a_late_one_is_let_go(void **state)
{
	struct sleeper v = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
	struct err e = { 0 };
	struct quiesce q;

	(void)state;
	assert_int_equal(quiesce_init(&q, &sleeper_ops, &v, &e), 0);
	quiesce_arm(&q, UINT64_MAX);
	assert_true(quiesce_disarm(&q));
	quiesce_arm(&q, clock_mono_ns() + FAR_FUTURE_NS);
	assert_true(quiesce_disarm(&q));
	assert_int_equal(v.abandoned, 0);
	quiesce_arm(&q, clock_mono_ns() + NSEC_PER_MSEC);
	pthread_mutex_lock(&v.lock);
	while (!v.abandoned) /* the freeze that hangs */
		pthread_cond_wait(&v.wake, &v.lock);
	pthread_mutex_unlock(&v.lock);
	assert_false(quiesce_disarm(&q));
	quiesce_fini(&q);
	assert_int_equal(v.abandoned, 1);
}

/* The deadline and the return of freeze() at the same moment: both may win, but only one. */
static void a_freeze_that_counts_is_never_let_go_afterwards(void **state)
{
	struct err e = { 0 };
	unsigned counted = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct sleeper v = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
		uint64_t deadline = clock_mono_ns() + 200 * NSEC_PER_USEC;
		struct quiesce q;
		bool counts;

		assert_int_equal(quiesce_init(&q, &sleeper_ops, &v, &e), 0);
		quiesce_arm(&q, deadline);
		while (clock_mono_ns() < deadline + (i % 3) * 20 * NSEC_PER_USEC)
			;
		counts = quiesce_disarm(&q);
		quiesce_fini(&q);
		assert_int_equal(v.abandoned, counts ? 0 : 1);
		counted += counts;
	}
	print_message("%u of 300 freezes were in time\n", counted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancel_in_any_phase_thaws_exactly_if_frozen),
		cmocka_unit_test(a_cancel_after_the_commit_changes_nothing),
		cmocka_unit_test(whatever_comes_late_the_guest_has_one_owner),
		cmocka_unit_test(each_limit_fires_in_its_own_phase_alone),
		cmocka_unit_test(a_limit_is_a_duration_or_none),
		cmocka_unit_test(a_frozen_limit_below_the_downtime_limit_is_a_contradiction),
		cmocka_unit_test(either_the_cancel_or_the_commit_is_first),
		cmocka_unit_test(a_freeze_in_time_is_left_alone_and_a_late_one_is_let_go),
		cmocka_unit_test(a_freeze_that_counts_is_never_let_go_afterwards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
