/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole moves between two fake machines over the fake transport and a real rendezvous on loopback:
 * a writing guest arrives page for page, and whatever fails, exactly one machine runs it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/migrate/move.h"
#include "tests/lib/fake_vm.h"
#include "tests/lib/fake_xport.h"
#include "tests/unit/migrate_faults.h"

#define MEMORY  (64ull << 20)
#define WORKSET 512

struct move {
	struct fake_vm src, dst;
	struct xport_ops ops, lame;
	const struct xport_ops *list[2]; /* &lame, which nobody can use, and &ops */
	bool named;                      /* lame is asked for by name */
	struct rdv_transports can;       /* of the target */
	uint64_t memory;                 /* that the source says will move */
	int listen_fd;
	uint16_t port;
	int cancel;
	struct mig_result sres, tres;
	struct err serr, terr;
	int srv, trv;
	unsigned progress_calls;
	/* parameters, if not the default */
	uint64_t limit_ns, bandwidth;
	struct chan_want secure; /* both ends' */
	struct mig_limits limits;
	bool silent; /* nobody answers at the target */
};

static int move_setup(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct move *m = calloc(1, sizeof(*m));
	socklen_t len = sizeof(a);

	memset(&fault, 0, sizeof(fault));
	memset(&narrow, 0, sizeof(narrow));
	/* sanitizers make a fake slow, not wrong: only a test of a limit has one */
	m->limits = (struct mig_limits){ { 0 } };
	assert_int_equal(fake_vm_init(&m->src, MEMORY, WORKSET), 0);
	assert_int_equal(fake_vm_init(&m->dst, MEMORY, WORKSET), 0);
	m->ops = fake_xport_ops;
	m->ops.connect = fault_connect;
	m->ops.put = narrow_put;
	m->ops.accept = fault_accept;
	m->lame = fake_xport_ops;
	m->lame.name = "lame";
	m->lame.probe = lame_probe;
	m->list[0] = &m->lame;
	m->list[1] = &m->ops;
	choose_probe(&(struct xport_list){ .ops = m->list, .n = 2 }, NULL, &m->can);
	m->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(m->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(m->listen_fd, 4), 0);
	getsockname(m->listen_fd, (struct sockaddr *)&a, &len);
	m->port = ntohs(a.sin_port);
	*state = m;
	return 0;
}

static int move_teardown(void **state)
{
	struct move *m = *state;

	fake_vm_fini(&m->src);
	fake_vm_fini(&m->dst);
	close(m->listen_fd);
	free(m);
	return 0;
}

static void *move_target(void *arg)
{
	struct move *m = arg;
	struct rdv_offer *offer = calloc(1, sizeof(*offer));
	struct mig_target_args a = {
		.mem = &m->dst.mem,
		.ops = &fake_vm_ops,
		.vm = &m->dst,
		.listen_host = "127.0.0.1",
		.xport = &m->ops,
		.offer = offer,
	};

	if (rdv_welcome(&a.chan, accept(m->listen_fd, NULL, NULL), &m->secure, 2000000000ull,
		    &m->terr)) {
		m->trv = m->terr.code;
		free(offer);
		return NULL;
	}
	m->trv = rdv_hello_read(a.chan, &m->memory, 2000000000ull, &m->terr);
	if (!m->trv)
		m->trv = rdv_offer_read(a.chan, &m->can, NULL, offer, 2000000000ull, &m->terr);
	if (!m->trv)
		m->trv = mig_target_run(&a, &m->tres, &m->terr);
	chan_close(a.chan);
	free(offer);
	return NULL;
}

static void move_progress(void *arg, const struct mig_progress *p)
{
	struct move *m = arg;

	(void)p;
	m->progress_calls++;
}

/* Runs one move of the writing guest to its end. */
static void move_run(struct move *m)
{
	struct mig_source_args *a = calloc(1, sizeof(*a));
	pthread_t t;

	*a = (struct mig_source_args){
		.mem = &m->src.mem,
		.ops = &fake_vm_ops,
		.vm = &m->src,
		.host = "127.0.0.1",
		.port = m->port,
		.transports = { .ops = m->list, .n = m->named ? 1 : 2, .named = m->named },
		.offer = { .software = "test", .name = "guest", .allocated_bytes = 4711 },
		.progress = move_progress,
		.arg = m,
		.cancel = &m->cancel,
	};
	mig_params_default(&a->params);
	/* sanitizers make a fake slow, not wrong */
	a->params.downtime_limit_ns = m->limit_ns ? m->limit_ns : 2000000000ull;
	a->params.bandwidth = m->bandwidth;
	a->params.limits = m->limits;
	a->params.secure = m->secure;
	fake_vm_run(&m->src);
	fake_vm_wait_writes(&m->src, 1000);
	if (!m->silent)
		pthread_create(&t, NULL, move_target, m);
	m->srv = mig_source_run(a, &m->sres, &m->serr);
	if (!m->silent)
		pthread_join(t, NULL);
	free(a);
}

/* The guest is at the source, running, and loses nothing. */
static void expect_at_source(struct move *m)
{
	assert_true(m->srv < 0);
	assert_false(m->sres.committed);
	assert_true(m->serr.msg[0] != '\0');
	assert_false(fake_vm_frozen(&m->src));
	assert_true(fake_vm_frozen(&m->dst));
	assert_int_equal(m->dst.thaws, 0);
	fake_vm_wait_writes(&m->src, 1000);
	fake_vm_ops.freeze(&m->src, NULL);
	assert_int_equal(fake_vm_bad_pages(&m->src), 0);
}

static void a_writing_guest_arrives_page_for_page(void **state)
{
	struct move *m = *state;

	move_run(m);
	assert_string_equal(m->serr.msg, "");
	assert_int_equal(m->srv, 0);
	assert_int_equal(m->trv, 0);
	assert_true(m->sres.committed);
	assert_true(fake_vm_frozen(&m->src));
	assert_false(fake_vm_frozen(&m->dst));
	assert_int_equal(m->src.thaws, 0);
	assert_int_equal(m->dst.thaws, 1);
	fake_vm_ops.freeze(&m->dst, NULL);
	assert_int_equal(fake_vm_bad_pages(&m->dst), 0);
	assert_true(m->sres.rounds >= 1);
	assert_true(m->sres.blackout.total_ns > 0);
	assert_true(m->sres.blackout.total_ns < m->sres.total_ns);
	assert_true(m->progress_calls >= 2);
	/* elapsed is real time since the save: more than nothing, less than the blackout */
	assert_true(m->dst.elapsed_ns <= m->sres.blackout.total_ns);
}

/* What may go is what the rate lets go in the time it took; it may be overdrawn by one put. */
static void a_limited_move_takes_its_time(void **state)
{
	struct move *m = *state;
	double most;

	m->bandwidth = 16ull << 20;
	move_run(m);
	assert_int_equal(m->srv, 0);
	most = (double)m->bandwidth * (double)m->sres.total_ns / 1e9 + XPORT_BLOCK_SIZE;
	assert_true(m->sres.sent_bytes > m->sres.residual_bytes);
	assert_true((double)(m->sres.sent_bytes - m->sres.residual_bytes) <= most);
}

/*
 * At 2 MiB/s the whole working set, which a round leaves dirty, would take a second. The frozen
 * guest is not held to that rate, and the prediction must know: else the guest would be slowed
 * down.
 */
static void a_limited_rate_is_not_predicted_for_the_frozen_guest(void **state)
{
	struct move *m = *state;

	m->bandwidth = 2ull << 20;
	m->src.greedy = true;
	m->limit_ns = 400000000;
	move_run(m);
	assert_string_equal(m->serr.msg, "");
	assert_int_equal(m->srv, 0);
	assert_true(m->sres.residual_bytes > m->bandwidth / 2);
	assert_int_equal(m->sres.share_least, SOURCE_SHARE_FULL);
	assert_true(m->sres.predicted_blackout_ns < m->limit_ns);
}

static void the_blackout_is_predicted_step_by_step(void **state)
{
	struct move *m = *state;
	const struct mig_blackout *b = &m->sres.predicted;

	m->src.nudge_ns = 123000;
	move_run(m);
	assert_int_equal(m->srv, 0);
	assert_true(m->src.nudges > 0 && m->dst.nudges == 0);
	assert_int_equal(b->stop_ns, 123000);
	assert_true(b->save_ns > 0 && b->load_ns > 0 && b->send_ns >= b->load_ns);
	assert_int_equal(m->sres.predicted_blackout_ns, b->total_ns);
}

/*
 * A round of the working set takes half a second, a tenth of which the link takes ahead, and leaves
 * all of it dirty again: the limit is far less.
 */
static void move_too_fast(struct move *m)
{
	m->src.greedy = true;
	narrow.rate = 4ull << 20;
	m->limit_ns = 100000000;
	move_run(m);
	if (m->src.share_least == SOURCE_SHARE_FULL)
		fail_msg("not slowed down: %s, %u rounds", m->serr.msg, m->sres.rounds);
	assert_int_equal(m->sres.share_least, m->src.share_least);
	assert_true(m->sres.throttled_ns > 0);
}

static void a_guest_that_writes_too_fast_is_slowed_down(void **state)
{
	struct move *m = *state;

	move_too_fast(m);
	assert_string_equal(m->serr.msg, "");
	assert_int_equal(m->srv, 0);
	assert_true(m->sres.throttled_ns < m->sres.total_ns);
	assert_int_equal(m->dst.share_least, SOURCE_SHARE_FULL);
	fake_vm_ops.freeze(&m->dst, NULL);
	assert_int_equal(fake_vm_bad_pages(&m->dst), 0);
}

static void a_guest_slowed_down_in_vain_gets_all_of_its_time_back(void **state)
{
	struct move *m = *state;

	m->src.fail_save = true;
	move_too_fast(m);
	expect_at_source(m);
	assert_int_equal(m->src.share, SOURCE_SHARE_FULL);
}

static void a_move_says_how_it_travelled(void **state)
{
	struct move *m = *state;

	move_run(m);
	assert_int_equal(m->srv, 0);
	assert_string_equal(m->sres.transport, "fake");
	assert_string_equal(m->sres.note, "fake (not lame: here: no adapter)");
	assert_string_equal(m->tres.transport, "fake");
	assert_int_equal(m->memory, 4711);
}

static void a_transport_by_name_that_is_impossible_moves_nothing(void **state)
{
	struct move *m = *state;

	m->named = true;
	move_run(m);
	assert_int_equal(m->srv, -EOPNOTSUPP);
	assert_non_null(strstr(m->serr.msg, "transport lame cannot be used: here: no adapter"));
	assert_int_equal(m->src.thaws, 0); /* it was never frozen */
	expect_at_source(m);
}

static void memory_never_touched_is_not_allocated_at_the_target(void **state)
{
	struct move *m = *state;
	uint64_t start, end, total = 0, from = 0;

	move_run(m);
	assert_int_equal(m->srv, 0);
	while (gmem_next_data(&m->dst.mem, &m->dst.mem.regions[0], from, &start, &end, NULL) > 0) {
		total += end - start;
		from = end;
	}
	/* fake_vm_bad_pages() has not read anything yet */
	assert_true(total <= WORKSET * GMEM_PAGE_SIZE);
	assert_true(m->sres.pages_sent >= 1);
}

static void one_sided_stats(const struct xport *x, struct xport_stats *out)
{
	fake_xport_ops.stats(x, out);
	out->one_sided = true;
}

/* What arrives is allocated ahead, unless the transport sees to it itself. */
static void a_one_sided_transport_is_left_to_allocate(void **state)
{
	struct move *m = *state;

	m->ops.stats = one_sided_stats;
	move_run(m);
	assert_int_equal(m->srv, 0);
	assert_int_equal(m->tres.populated_bytes, 0);
	assert_true(m->sres.sent_bytes > 0);
}

static void pages_the_vmm_wrote_arrive(void **state)
{
	static const char text[] = "written by a device";
	struct move *m = *state;
	char got[sizeof(text)];

	assert_true(gmem_write(&m->src.mem, 40ull << 20, text, sizeof(text)));
	move_run(m);
	assert_int_equal(m->srv, 0);
	assert_true(gmem_read(&m->dst.mem, 40ull << 20, got, sizeof(got)));
	assert_string_equal(got, text);
}

static void a_cancelled_move_leaves_the_guest_running(void **state)
{
	struct move *m = *state;

	m->cancel = 1;
	move_run(m);
	expect_at_source(m);
	assert_int_equal(m->srv, -ECANCELED);
	assert_int_equal(m->src.freezes, 1); /* the test's own */
	assert_true(m->trv < 0);
}

/* At the very end of the copy phase: the harvest that decides to freeze. */
static void a_move_cancelled_before_the_freeze_never_stops_the_guest(void **state)
{
	struct move *m = *state;

	m->src.cancel_at_harvest = &m->cancel;
	move_run(m);
	assert_int_equal(m->src.freezes, 0);
	assert_int_equal(m->src.thaws, 0);
	assert_int_equal(m->srv, -ECANCELED);
	assert_non_null(strstr(m->serr.msg, "cancelled in its copy phase: in round 1"));
	expect_at_source(m);
}

static void an_init_phase_that_takes_too_long_is_given_up(void **state)
{
	struct move *m = *state;

	m->silent = true;
	m->limits.ns[MIG_LIMIT_INIT] = 100000000;
	move_run(m);
	expect_at_source(m);
	assert_int_equal(m->srv, -ETIMEDOUT);
	assert_non_null(strstr(m->serr.msg, "init phase"));
	assert_non_null(strstr(m->serr.msg, "--init-timeout"));
	assert_int_equal(m->src.track_stops, 0); /* nothing was asked of the guest */
}

static void a_copy_phase_that_takes_too_long_is_given_up(void **state)
{
	struct move *m = *state;

	m->src.greedy = true;
	m->bandwidth = 1ull << 20;
	m->limits.ns[MIG_LIMIT_COPY] = 300000000;
	move_run(m);
	assert_int_equal(m->src.freezes, 0);
	assert_int_equal(m->srv, -ETIMEDOUT);
	assert_non_null(strstr(m->serr.msg, "the copy phase took"));
	assert_non_null(strstr(m->serr.msg, "in round 1, "));
	expect_at_source(m);
}

/* freeze() hangs on a device; the guest does not. */
static void a_freeze_that_hangs_is_given_up(void **state)
{
	struct move *m = *state;

	m->src.slow_freeze = true;
	m->limits.ns[MIG_LIMIT_QUIESCE] = 100000000;
	move_run(m);
	m->src.slow_freeze = false;
	assert_int_equal(m->src.abandons, 1);
	assert_int_equal(m->src.thaws, 1);
	assert_int_equal(m->srv, -ETIMEDOUT);
	assert_non_null(strstr(m->serr.msg, "the quiesce phase took"));
	expect_at_source(m);
}

/* The target loads until the guest runs again at the source: only the limit can end that. */
static void a_guest_is_not_kept_frozen_beyond_the_limit(void **state)
{
	struct move *m = *state;

	m->dst.load_after = &m->src;
	m->limits.ns[MIG_LIMIT_FROZEN] = 2000000000;
	move_run(m);
	assert_int_equal(m->src.thaws, 1);
	assert_int_equal(m->srv, -ETIMEDOUT);
	assert_non_null(strstr(m->serr.msg, "the frozen phase took"));
	expect_at_source(m);
}

/*
 * One owner, with limits that run out anywhere: from too short for anything to just about enough.
 * The target is no slower for them, so LOADED and the limit often meet.
 */
static void whatever_limit_runs_out_one_machine_runs_the_guest(void **state)
{
	unsigned moved = 0, stayed = 0;

	for (unsigned phase = 0; phase < MIG_LIMITS; phase++) {
		for (uint64_t ns = 50000; ns < 200000000; ns *= 3) {
			struct move *m;
			bool src, dst;

			assert_int_equal(move_teardown(state), 0);
			assert_int_equal(move_setup(state), 0);
			m = *state;
			m->limits.ns[phase] = ns;
			move_run(m);
			src = !fake_vm_frozen(&m->src);
			dst = !fake_vm_frozen(&m->dst);
			assert_true(src != dst);
			assert_int_equal(m->srv == 0, dst);
			if (src)
				expect_at_source(m);
			moved += dst;
			stayed += src;
		}
	}
	print_message("limits: %u moved, %u stayed\n", moved, stayed);
	assert_true(moved > 0 && stayed > 0);
}

static void a_target_that_cannot_load_says_why(void **state)
{
	struct move *m = *state;

	m->dst.fail_load = true;
	move_run(m);
	expect_at_source(m);
	assert_non_null(strstr(m->serr.msg, "avx512f"));
}

static void failures_of_the_machine_give_the_move_up(void **state)
{
	struct move *m = *state;

	m->src.fail_freeze = true;
	move_run(m);
	m->src.fail_freeze = false;
	expect_at_source(m);
	assert_int_equal(m->src.track_stops, 1);
}

static void a_failed_save_thaws_the_guest(void **state)
{
	struct move *m = *state;

	m->src.fail_save = true;
	move_run(m);
	expect_at_source(m);
	assert_int_equal(m->src.thaws, 1);
}

static void a_failed_harvest_gives_the_move_up(void **state)
{
	struct move *m = *state;

	m->src.fail_harvest = true;
	move_run(m);
	expect_at_source(m);
}

static void another_memory_layout_is_refused(void **state)
{
	struct move *m = *state;

	fake_vm_fini(&m->dst);
	assert_int_equal(fake_vm_init(&m->dst, 2 * MEMORY, WORKSET), 0);
	move_run(m);
	expect_at_source(m);
	assert_non_null(strstr(m->serr.msg, "memory layout"));
}

/*
 * One owner: every kind of fault, at either end, at every occasion up to a count that reaches past
 * the end of the move. After each, exactly one machine runs the guest, or neither and the source
 * says that it is in doubt.
 */
static void after_any_single_fault_one_machine_runs_the_guest(void **state)
{
	unsigned endings[3] = { 0 }; /* moved, stayed, in doubt */

	for (int at = 0; at < 2; at++) {
		for (int kind = 0; kind < FAKE_FAULTS; kind++) {
			for (unsigned n = 1; n <= 12; n++) {
				struct move *m;
				bool src, dst;

				assert_int_equal(move_teardown(state), 0);
				assert_int_equal(move_setup(state), 0);
				m = *state;
				fault = (struct fault){ true, at == 1, (enum fake_fault)kind, n };
				move_run(m);
				src = !fake_vm_frozen(&m->src);
				dst = !fake_vm_frozen(&m->dst);
				assert_false(src && dst);
				if (!src && !dst) {
					assert_true(m->sres.in_doubt);
					assert_true(m->srv < 0);
					assert_non_null(strstr(m->serr.msg, "stays frozen"));
					endings[2]++;
				} else {
					endings[src ? 1 : 0]++;
				}
				if (src)
					expect_at_source(m);
				fake_vm_ops.freeze(&m->dst, NULL);
				if (dst)
					assert_int_equal(fake_vm_bad_pages(&m->dst), 0);
			}
		}
	}
	print_message(
		"faults: %u moved, %u stayed, %u in doubt\n", endings[0], endings[1], endings[2]);
	assert_true(endings[0] > 0 && endings[1] > 0);
}

int main(void)
{
#define MOVE_TEST(f) cmocka_unit_test_setup_teardown(f, move_setup, move_teardown)
	const struct CMUnitTest tests[] = {
		MOVE_TEST(a_writing_guest_arrives_page_for_page),
		MOVE_TEST(a_limited_move_takes_its_time),
		MOVE_TEST(a_limited_rate_is_not_predicted_for_the_frozen_guest),
		MOVE_TEST(the_blackout_is_predicted_step_by_step),
		MOVE_TEST(a_guest_that_writes_too_fast_is_slowed_down),
		MOVE_TEST(a_guest_slowed_down_in_vain_gets_all_of_its_time_back),
		MOVE_TEST(a_move_says_how_it_travelled),
		MOVE_TEST(a_transport_by_name_that_is_impossible_moves_nothing),
		MOVE_TEST(memory_never_touched_is_not_allocated_at_the_target),
		MOVE_TEST(a_one_sided_transport_is_left_to_allocate),
		MOVE_TEST(pages_the_vmm_wrote_arrive),
		MOVE_TEST(a_cancelled_move_leaves_the_guest_running),
		MOVE_TEST(a_move_cancelled_before_the_freeze_never_stops_the_guest),
		MOVE_TEST(an_init_phase_that_takes_too_long_is_given_up),
		MOVE_TEST(a_copy_phase_that_takes_too_long_is_given_up),
		MOVE_TEST(a_freeze_that_hangs_is_given_up),
		MOVE_TEST(a_guest_is_not_kept_frozen_beyond_the_limit),
		MOVE_TEST(whatever_limit_runs_out_one_machine_runs_the_guest),
		MOVE_TEST(a_target_that_cannot_load_says_why),
		MOVE_TEST(failures_of_the_machine_give_the_move_up),
		MOVE_TEST(a_failed_save_thaws_the_guest),
		MOVE_TEST(a_failed_harvest_gives_the_move_up),
		MOVE_TEST(another_memory_layout_is_refused),
		MOVE_TEST(after_any_single_fault_one_machine_runs_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
