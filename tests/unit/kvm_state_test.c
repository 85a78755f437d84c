/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counting guest is saved on one machine and goes on in another; its time goes on as told; and
 * state that is damaged, cut short, doubled or missing a part is refused by name, before anything
 * is loaded.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "hv/base/clock.h"
#include "hv/base/section.h"
#include "tests/unit/kvm_guest.h"

/* inc eax; out PORT, al; again */
static const uint8_t count_code[] = { 0x40, 0xe6, PORT, 0xeb, 0xfb };

static unsigned count_next(struct guest *g)
{
	struct vcpu_exit x;

	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	assert_true(x.write);
	return x.data[0];
}

/* A machine of @cpus that has counted to @n, with nothing owed to KVM. */
static struct guest *counting(unsigned cpus, unsigned n)
{
	struct guest *g = guest_new(cpus, DIRTY_CHOICE_AUTO, 0);

	guest_code(g, count_code, sizeof(count_code));
	for (unsigned i = 1; i <= n; i++)
		assert_int_equal(count_next(g), i);
	if (n)
		guest_complete(g);
	return g;
}

/* Takes every section of @w; the result of the first that is refused, or 0. */
static int take_all(struct guest *g, const struct wbuf *w)
{
	struct rbuf r = rbuf_of(w->data, w->len);
	struct section s;
	int n;

	kvm_state_begin(&g->vm);
	while ((n = section_next(&r, &s, &g->e)) > 0) {
		n = kvm_state_take(&g->vm, &s, &g->e);
		if (n < 0)
			return n;
		assert_int_equal(n, 1);
	}
	return n;
}

static struct section find(const struct wbuf *w, const char *name, uint32_t instance)
{
	struct rbuf r = rbuf_of(w->data, w->len);
	struct section s;
	struct err e;

	while (section_next(&r, &s, &e) > 0) {
		if (strcmp(s.name, name) == 0 && s.instance == instance)
			return s;
	}
	fail_msg("no section %s %u", name, instance);
	return s;
}

/* Copies all guest memory: the part of a move that is not this folder's. */
static void copy_memory(struct guest *to, struct guest *from)
{
	assert_true(gmem_write(&to->mem, 0, from->mem.regions[0].host, GUEST_MEM));
}

static void a_guest_goes_on_counting_in_another_machine(void **state)
{
	struct guest *a = counting(2, 5), *b = counting(2, 0);
	struct wbuf w;

	(void)state;
	wbuf_init(&w);
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	assert_true(w.len <= kvm_state_size(&a->vm));
	copy_memory(b, a);
	guest_ok(b, take_all(b, &w));
	guest_ok(b, kvm_state_load(&b->vm, 0, &b->e));
	for (unsigned i = 6; i < 20; i++)
		assert_int_equal(count_next(b), i);
	/* The source was not changed by being saved. */
	assert_int_equal(count_next(a), 6);
	wbuf_fini(&w);
	guest_free(a);
	guest_free(b);
}

/* Sections in which time does not move on are the same when saved again after loading. */
static void what_was_loaded_saves_the_same(void **state)
{
	struct guest *a = counting(2, 9), *b = counting(2, 0);
	struct wbuf w, again;
	struct rbuf r;
	struct section s;
	unsigned compared = 0;

	(void)state;
	wbuf_init(&w);
	wbuf_init(&again);
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	guest_ok(b, take_all(b, &w));
	guest_ok(b, kvm_state_load(&b->vm, 0, &b->e));
	guest_ok(b, kvm_state_save(&b->vm, &again, &b->e));
	r = rbuf_of(w.data, w.len);
	while (section_next(&r, &s, &a->e) > 0) {
		struct section t = find(&again, s.name, s.instance);

		if (strcmp(s.name, "kvm-clock") == 0 || strcmp(s.name, "cpu-tsc") == 0)
			continue;
		assert_int_equal(rbuf_left(&s.body), rbuf_left(&t.body));
		if (memcmp(s.body.p, t.body.p, rbuf_left(&s.body)) != 0)
			fail_msg("section %s %u changed", s.name, s.instance);
		compared++;
	}
	assert_true(compared >= 4 + 2 * 10);
	wbuf_fini(&w);
	wbuf_fini(&again);
	guest_free(a);
	guest_free(b);
}

static uint64_t saved_clock(const struct wbuf *w)
{
	struct section s = find(w, "kvm-clock", 0);

	return rbuf_u64(&s.body);
}

static uint64_t saved_tsc(const struct wbuf *w, uint32_t cpu, uint32_t *khz)
{
	struct section s = find(w, "cpu-tsc", cpu);

	*khz = rbuf_u32(&s.body);
	return rbuf_u64(&s.body);
}

/* The rest of the move took @extra ns more than it did. */
static void time_goes_on(uint64_t extra)
{
	struct guest *a = counting(2, 3), *b = counting(2, 0);
	struct wbuf w, later;
	uint64_t saved_at, elapsed, before, after, clock, tsc[2], tsc_later[2];
	uint32_t khz;

	wbuf_init(&w);
	wbuf_init(&later);
	saved_at = clock_mono_ns();
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	guest_ok(b, take_all(b, &w));
	before = clock_mono_ns();
	elapsed = before - saved_at + extra;
	guest_ok(b, kvm_state_load(&b->vm, elapsed, &b->e));
	guest_ok(b, kvm_state_save(&b->vm, &later, &b->e));
	after = clock_mono_ns();
	clock = saved_clock(&later) - saved_clock(&w);
	assert_in_range(clock, elapsed, elapsed + (after - before));
	for (uint32_t i = 0; i < 2; i++) {
		int64_t off;

		tsc[i] = saved_tsc(&w, i, &khz);
		tsc_later[i] = saved_tsc(&later, i, &khz);
		if (khz == 0)
			continue; /* a KVM that does not say its frequency: nothing to hold it to */
		off = (int64_t)((__int128)(tsc_later[i] - tsc[i]) * 1000000 / khz) - (int64_t)clock;
		if (off < -100000 || off > 100000)
			fail_msg("the TSC of vCPU %u is %lld ns away from the clock", i,
				(long long)off);
	}
	/* However far apart the vCPUs' TSCs were, they still are. */
	assert_int_equal(tsc_later[1] - tsc_later[0], tsc[1] - tsc[0]);
	wbuf_fini(&w);
	wbuf_fini(&later);
	guest_free(a);
	guest_free(b);
}

static void clock_and_tsc_go_on_by_the_time_that_passed(void **state)
{
	(void)state;
	time_goes_on(0);
}

static bool tsc_offset(struct guest *g, uint64_t *offset, unsigned long request)
{
	struct kvm_device_attr at = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(g->vcpu[0].fd, request, &at) == 0;
}

static void a_host_whose_tsc_began_elsewhere_gives_the_guest_its_own(void **state)
{
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	uint64_t want = 1ull << 40, have = 0;
	bool kept = tsc_offset(g, &want, KVM_SET_DEVICE_ATTR) &&
		    tsc_offset(g, &have, KVM_GET_DEVICE_ATTR) && have == want;

	(void)state;
	guest_free(g);
	if (!kept) {
		print_message("skipped: this host's KVM keeps no TSC offset\n");
		skip();
	}
	time_goes_on(5 * NSEC_PER_SEC);
}

static void the_clock_goes_on_also_by_a_long_time(void **state)
{
	struct guest *a = counting(1, 3);
	struct wbuf w, later;
	uint64_t before, after, clock;

	(void)state;
	wbuf_init(&w);
	wbuf_init(&later);
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	guest_ok(a, take_all(a, &w));
	before = clock_mono_ns();
	guest_ok(a, kvm_state_load(&a->vm, 60 * NSEC_PER_SEC, &a->e));
	guest_ok(a, kvm_state_save(&a->vm, &later, &a->e));
	after = clock_mono_ns();
	clock = saved_clock(&later) - saved_clock(&w);
	assert_in_range(clock, 60 * NSEC_PER_SEC, 60 * NSEC_PER_SEC + (after - before));
	wbuf_fini(&w);
	wbuf_fini(&later);
	guest_free(a);
}

/* As at a guest's reset: the state from before it ran is loaded into the machine that ran. */
static void a_machine_that_ran_can_be_put_back(void **state)
{
	struct guest *g = counting(1, 0);
	struct wbuf w;

	(void)state;
	wbuf_init(&w);
	guest_ok(g, kvm_state_save(&g->vm, &w, &g->e));
	for (int lap = 0; lap < 3; lap++) {
		for (unsigned i = 1; i < 8; i++)
			assert_int_equal(count_next(g), i);
		guest_complete(g);
		guest_ok(g, take_all(g, &w));
		guest_ok(g, kvm_state_load(&g->vm, 0, &g->e));
	}
	wbuf_fini(&w);
	guest_free(g);
}

static void an_access_still_owed_is_not_saved(void **state)
{
	struct guest *g = counting(1, 0);
	struct wbuf w;

	(void)state;
	wbuf_init(&w);
	assert_int_equal(count_next(g), 1);
	assert_int_equal(kvm_state_save(&g->vm, &w, &g->e), -EBUSY);
	guest_complete(g);
	wbuf_reset(&w);
	guest_ok(g, kvm_state_save(&g->vm, &w, &g->e));
	wbuf_fini(&w);
	guest_free(g);
}

/* Copies the sections of @w to @out, handing each to @edit, which writes it or does not. */
static void rewrite(const struct wbuf *w, struct wbuf *out,
	void (*edit)(struct wbuf *out, const struct section *s, unsigned n, void *arg), void *arg)
{
	struct rbuf r = rbuf_of(w->data, w->len);
	struct section s;
	struct err e;

	wbuf_reset(out);
	for (unsigned n = 0; section_next(&r, &s, &e) > 0; n++)
		edit(out, &s, n, arg);
}

static void put(struct wbuf *out, const char *name, uint32_t instance, uint32_t version,
	const void *p, size_t len)
{
	size_t at = section_begin(out, name, instance, version);

	wbuf_bytes(out, p, len);
	section_end(out, at);
}

struct edit {
	unsigned n; /* the section that is changed */
	char name[SECTION_NAME_MAX];
};

static void cut(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;

	if (n == ed->n)
		strcpy(ed->name, s->name);
	put(out, s->name, s->instance, s->version, s->body.p,
		rbuf_left(&s->body) - (n == ed->n ? 1 : 0));
}

static void lengthen(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;
	size_t at = section_begin(out, s->name, s->instance, s->version);

	wbuf_bytes(out, s->body.p, rbuf_left(&s->body));
	if (n == ed->n) {
		strcpy(ed->name, s->name);
		for (int i = 0; i < 4096; i++)
			wbuf_u8(out, 0);
	}
	section_end(out, at);
}

static void leave_out(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;

	if (n == ed->n)
		strcpy(ed->name, s->name);
	else
		put(out, s->name, s->instance, s->version, s->body.p, rbuf_left(&s->body));
}

static void twice(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;

	put(out, s->name, s->instance, s->version, s->body.p, rbuf_left(&s->body));
	if (n != ed->n)
		return;
	strcpy(ed->name, s->name);
	put(out, s->name, s->instance, s->version, s->body.p, rbuf_left(&s->body));
}

static void newer(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;

	if (n == ed->n)
		strcpy(ed->name, s->name);
	put(out, s->name, s->instance, s->version + (n == ed->n ? 1 : 0), s->body.p,
		rbuf_left(&s->body));
}

static void stranger(struct wbuf *out, const struct section *s, unsigned n, void *arg)
{
	struct edit *ed = arg;

	if (n == ed->n)
		strcpy(ed->name, s->name);
	put(out, s->name, s->instance + (n == ed->n ? 100 : 0), s->version, s->body.p,
		rbuf_left(&s->body));
}

/* All sections are good, one after the other is spoilt by @edit; each time it is named. */
static void each_spoilt(void (*edit)(struct wbuf *, const struct section *, unsigned, void *))
{
	struct guest *a = counting(2, 4), *b = counting(2, 0);
	struct wbuf w, bad;
	unsigned n;

	wbuf_init(&w);
	wbuf_init(&bad);
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	for (n = 0;; n++) {
		struct edit ed = { .n = n };
		int r;

		rewrite(&w, &bad, edit, &ed);
		if (!ed.name[0])
			break;
		r = take_all(b, &bad);
		if (r == 0)
			r = kvm_state_load(&b->vm, 0, &b->e);
		if (r != -EPROTO || !strstr(b->e.msg, ed.name))
			fail_msg("section %s: %d %s", ed.name, r, b->e.msg);
	}
	assert_true(n >= 5 + 2 * 11);
	/* None of it has changed anything: the good one still loads, and the guest runs. */
	copy_memory(b, a);
	guest_ok(b, take_all(b, &w));
	guest_ok(b, kvm_state_load(&b->vm, 0, &b->e));
	assert_int_equal(count_next(b), 5);
	wbuf_fini(&w);
	wbuf_fini(&bad);
	guest_free(a);
	guest_free(b);
}

static void a_section_cut_short_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(cut);
}

static void a_section_too_long_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(lengthen);
}

static void a_missing_section_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(leave_out);
}

static void a_section_that_is_there_twice_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(twice);
}

static void a_newer_section_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(newer);
}

static void a_section_of_a_vcpu_that_is_not_there_is_refused_by_name(void **state)
{
	(void)state;
	each_spoilt(stranger);
}

static void bytes_turned_at_random_never_do_harm(void **state)
{
	struct guest *a = counting(1, 4), *b = counting(1, 0);
	struct wbuf w, bad;
	uint32_t seed = 1;

	(void)state;
	wbuf_init(&w);
	wbuf_init(&bad);
	guest_ok(a, kvm_state_save(&a->vm, &w, &a->e));
	for (int i = 0; i < 2000; i++) {
		struct rbuf r;
		struct section s;

		wbuf_reset(&bad);
		wbuf_bytes(&bad, w.data, w.len);
		for (int k = 0; k < 8; k++) {
			seed = seed * 1664525 + 1013904223;
			bad.data[(seed >> 8) % bad.len] = (uint8_t)seed;
		}
		kvm_state_begin(&b->vm);
		r = rbuf_of(bad.data, bad.len);
		while (section_next(&r, &s, &b->e) > 0) {
			b->e.code = 0;
			/* Refusals carry a message; nothing is loaded here. */
			if (kvm_state_take(&b->vm, &s, &b->e) < 0)
				assert_true(b->e.code < 0 && b->e.msg[0]);
		}
	}
	guest_ok(b, take_all(b, &w));
	guest_ok(b, kvm_state_load(&b->vm, 0, &b->e));
	wbuf_fini(&w);
	wbuf_fini(&bad);
	guest_free(a);
	guest_free(b);
}

static void a_section_of_somebody_else_is_left_to_him(void **state)
{
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct section s = { .name = "serial", .version = 1 };

	(void)state;
	s.body = rbuf_of("", 0);
	kvm_state_begin(&g->vm);
	assert_int_equal(kvm_state_take(&g->vm, &s, &g->e), 0);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_goes_on_counting_in_another_machine),
		cmocka_unit_test(what_was_loaded_saves_the_same),
		cmocka_unit_test(clock_and_tsc_go_on_by_the_time_that_passed),
		cmocka_unit_test(a_host_whose_tsc_began_elsewhere_gives_the_guest_its_own),
		cmocka_unit_test(the_clock_goes_on_also_by_a_long_time),
		cmocka_unit_test(a_machine_that_ran_can_be_put_back),
		cmocka_unit_test(an_access_still_owed_is_not_saved),
		cmocka_unit_test(a_section_cut_short_is_refused_by_name),
		cmocka_unit_test(a_section_too_long_is_refused_by_name),
		cmocka_unit_test(a_missing_section_is_refused_by_name),
		cmocka_unit_test(a_section_that_is_there_twice_is_refused_by_name),
		cmocka_unit_test(a_newer_section_is_refused_by_name),
		cmocka_unit_test(a_section_of_a_vcpu_that_is_not_there_is_refused_by_name),
		cmocka_unit_test(bytes_turned_at_random_never_do_harm),
		cmocka_unit_test(a_section_of_somebody_else_is_left_to_him),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
