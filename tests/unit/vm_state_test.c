/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's state travels whole: from one machine into another of this process a guest goes on at
 * the very instruction, and a state that is not right is refused by name.
 */
#include "tests/lib/vm_arrival.h"
#include "tests/unit/vm_guest.h"

#include <errno.h>

#include "hv/base/section.h"

static const uint8_t code_count[] = { CODE_COUNT };

/* Freezes @from and makes its like, loaded but not thawed. @from stays, frozen. */
static struct vm *arrive(struct vm *from, const struct vm_config *c)
{
	struct err e = { 0 };
	struct vm_info info;
	struct vm *to = arrival(from, c, 0, &e);

	if (!to)
		fail_msg("no arrival: %s", e.msg);
	vm_info(to, &info);
	assert_int_equal(info.hold & ~(unsigned)VM_HOLD_USER, VM_HOLD_MIGRATION);
	return to;
}

static void a_counting_guest_goes_on_in_another_machine(void **state)
{
	struct guest_files g;
	struct vm_config c;
	struct vm *a, *b;
	uint32_t n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 2);
	a = guest_start(&c);
	guest_wait_counter(a, 1000);
	b = arrive(a, &c);
	n = guest_counter(b);
	assert_int_equal(n, guest_counter(a));
	vm_mig_ops.thaw(b);
	guest_wait_counter(b, n + 1000);
	/* The source is still where it was frozen, and can still go on. */
	assert_int_equal(guest_counter(a), n);
	vm_mig_ops.thaw(a);
	guest_wait_counter(a, n + 1000);
	vm_free(a);
	vm_free(b);
	guest_files_free(&g);
}

/*
 * The guest sends 0, 1, 2, ... on the serial line, so nearly every freeze meets an access under
 * way. Over twelve moves not one byte is lost or sent twice.
 */
static void an_access_under_way_is_done_exactly_once(void **state)
{
	static const uint8_t code[] = { 0x66, 0xba, 0xf8, 0x03, /* mov dx, 0x3f8 */
		0xbe, 0x00, 0x00, 0x20, 0x00,                   /* mov esi, counter */
		0x31, 0xc0,                                     /* xor eax, eax */
		0xee, 0xfe, 0xc0,                               /* out dx, al; inc al */
		0xff, 0x06, 0xeb, 0xf9 };                       /* inc dword [esi]; again */
	uint8_t *text;
	struct guest_files g;
	struct vm_config c;
	struct vm *vm, *next;
	uint32_t n;
	FILE *f;
	size_t got;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	for (unsigned i = 0; i < 12; i++) {
		guest_wait_counter(vm, guest_counter(vm) + 37 * i);
		next = arrive(vm, &c);
		vm_free(vm);
		vm_mig_ops.thaw(next);
		vm = next;
	}
	guest_wait_counter(vm, guest_counter(vm) + 10);
	assert_int_equal(vm_hold(vm, VM_HOLD_USER, NULL), 0);
	n = guest_counter(vm);
	vm_free(vm);
	text = malloc(n + 16);
	f = fopen(g.serial, "re");
	got = fread(text, 1, n + 16, f);
	fclose(f);
	/* The last byte may be out while the counter behind it is not raised yet. */
	assert_in_range(got, n, n + 1);
	for (size_t i = 0; i < got; i++) {
		if (text[i] != (uint8_t)i)
			fail_msg("byte %zu of %zu is %u", i, got, text[i]);
	}
	free(text);
	guest_files_free(&g);
}

static void a_paused_guest_arrives_paused(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm_info info;
	struct vm *a, *b;
	uint32_t n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 1);
	a = guest_start(&c);
	guest_wait_counter(a, 100);
	assert_ok(vm_hold(a, VM_HOLD_USER, &e), &e);
	b = arrive(a, &c);
	vm_free(a);
	vm_mig_ops.thaw(b);
	vm_info(b, &info);
	assert_int_equal(info.hold, VM_HOLD_USER);
	n = guest_counter(b);
	vm_release(b, VM_HOLD_USER);
	guest_wait_counter(b, n + 100);
	vm_free(b);
	guest_files_free(&g);
}

static uint64_t age(struct vm *vm)
{
	struct vm_info info;

	vm_info(vm, &info);
	return info.age_ns;
}

/* A guest is as old as it was there, and the way. */
static void a_guest_is_no_younger_for_having_moved(void **state)
{
	const uint64_t way = 3600 * NSEC_PER_SEC;
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *a, *b;
	uint64_t before;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 1);
	a = guest_start(&c);
	guest_wait_counter(a, 100);
	before = age(a);
	assert_true(before > 0 && before < way);
	b = arrival(a, &c, way, &e);
	assert_non_null(b);
	assert_in_range(age(b), before + way, age(a) + way + 60 * NSEC_PER_SEC);
	vm_free(a);
	a = arrival(b, &c, way, &e);
	assert_non_null(a);
	assert_true(age(a) >= before + 2 * way);
	vm_free(a);
	vm_free(b);
	guest_files_free(&g);
}

/* The rehearsal of a target: its own empty state, saved and loaded, before the real one. */
static void an_empty_machine_can_be_rehearsed(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *a, *b = NULL;
	struct wbuf w;
	struct rbuf r;
	uint32_t n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 2);
	a = guest_start(&c);
	guest_wait_counter(a, 100);
	assert_ok(vm_new(&b, &c, &e), &e);
	wbuf_init(&w);
	assert_ok(vm_mig_ops.save(b, &w, &e), &e);
	r = rbuf_of(w.data, w.len);
	assert_ok(vm_mig_ops.load(b, &r, 0, &e), &e);

	assert_ok(vm_mig_ops.freeze(a, &e), &e);
	arrival_copy_memory(b, a);
	wbuf_reset(&w);
	assert_ok(vm_mig_ops.save(a, &w, &e), &e);
	r = rbuf_of(w.data, w.len);
	assert_ok(vm_mig_ops.load(b, &r, 5 * NSEC_PER_MSEC, &e), &e);
	n = guest_counter(b);
	vm_mig_ops.thaw(b);
	guest_wait_counter(b, n + 100);
	wbuf_fini(&w);
	vm_free(a);
	vm_free(b);
	guest_files_free(&g);
}

static void a_guest_that_arrived_can_reboot(void **state)
{
	/* Counts; ends in a triple fault when the word after the counter is set. */
	static const uint8_t code[] = { 0xbe, 0x00, 0x00, 0x20, 0x00, 0xff, 0x06, /* inc [esi] */
		0x83, 0x7e, 0x04, 0x00, /* cmp dword [esi+4], 0 */
		0x74, 0xf8, CODE_UD2 }; /* je; ud2 */
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *a, *b;
	uint32_t one = 1;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 2);
	a = guest_start(&c);
	guest_wait_counter(a, 100);
	b = arrive(a, &c);
	vm_free(a);
	vm_mig_ops.thaw(b);
	assert_true(gmem_write(vm_mem(b), GUEST_COUNTER + 4, &one, sizeof(one)));
	assert_int_equal(guest_wait_event(b), VM_EVENT_RESET);
	assert_ok(vm_reset(b, &e), &e);
	guest_wait_counter(b, 100);
	vm_free(b);
	guest_files_free(&g);
}

/* ---- refusals ------------------------------------------------------------------------------ */

#define SECTIONS_MAX 64

static unsigned split(const struct wbuf *w, struct section s[SECTIONS_MAX])
{
	struct rbuf r = rbuf_of(w->data, w->len);
	struct err e = { 0 };
	unsigned n = 0;

	while (section_next(&r, &s[n], &e) > 0)
		assert_true(++n < SECTIONS_MAX);
	return n;
}

static void put(struct wbuf *w, const struct section *s, uint32_t version, size_t cut)
{
	size_t at = section_begin(w, s->name, s->instance, version);

	wbuf_bytes(w, s->body.p, rbuf_left(&s->body) - cut);
	section_end(w, at);
}

static int load(struct vm *vm, struct wbuf *w, struct err *e)
{
	struct rbuf r = rbuf_of(w->data, w->len);
	int rc;

	err_clear(e);
	rc = vm_mig_ops.load(vm, &r, 0, e);
	wbuf_reset(w);
	return rc;
}

static void refused(struct vm *vm, struct wbuf *w, const char *word)
{
	struct err e = { 0 };

	assert_int_equal(load(vm, w, &e), -EPROTO);
	if (!strstr(e.msg, word))
		fail_msg("'%s' does not name '%s'", e.msg, word);
}

static void a_wrong_state_is_refused_by_name(void **state)
{
	static const struct section unknown = { .name = "gpu", .version = 1 };
	struct section s[SECTIONS_MAX];
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct wbuf whole, w;
	struct vm *vm;
	unsigned n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 2);
	c.console = VM_CONSOLE_VIRTIO; /* its section too */
	assert_ok(vm_new(&vm, &c, &e), &e);
	wbuf_init(&whole);
	wbuf_init(&w);
	assert_ok(vm_mig_ops.save(vm, &whole, &e), &e);
	n = split(&whole, s);
	assert_true(n > 20);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < n; k++) /* one is missing */
			if (k != i)
				put(&w, &s[k], s[k].version, 0);
		refused(vm, &w, s[i].name);
		for (unsigned k = 0; k <= n; k++) /* one is there twice */
			put(&w, &s[k < n ? k : i], s[k < n ? k : i].version, 0);
		refused(vm, &w, s[i].name);
		for (unsigned k = 0; k < n; k++) /* one is newer */
			put(&w, &s[k], k == i ? 99 : s[k].version, 0);
		refused(vm, &w, s[i].name);
		for (unsigned k = 0; k < n; k++) /* one is a byte short */
			put(&w, &s[k], s[k].version, k == i ? 1 : 0);
		refused(vm, &w, s[i].name);
	}
	for (unsigned k = 0; k < n; k++)
		put(&w, &s[k], s[k].version, 0);
	put(&w, &unknown, 1, 0);
	refused(vm, &w, "gpu");
	for (size_t cut = 0; cut < whole.len; cut += 7) {
		wbuf_bytes(&w, whole.data, cut);
		assert_int_equal(load(vm, &w, &e), -EPROTO);
		assert_true(e.msg[0] != '\0');
	}
	/* The same sections in the opposite order are as good. */
	for (unsigned k = n; k-- > 0;)
		put(&w, &s[k], s[k].version, 0);
	assert_ok(load(vm, &w, &e), &e);
	wbuf_fini(&w);
	wbuf_fini(&whole);
	vm_free(vm);
	guest_files_free(&g);
}

static void a_running_or_stopped_guest_is_not_saved(void **state)
{
	static const uint8_t code[] = { CODE_POWEROFF };
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;
	struct wbuf w;
	struct rbuf r = rbuf_of("", 0);

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	wbuf_init(&w);
	guest_wait_counter(vm, 10);
	assert_int_equal(vm_mig_ops.save(vm, &w, &e), -EBUSY);
	assert_int_equal(vm_mig_ops.load(vm, &r, 0, &e), -EBUSY);
	vm_free(vm);

	assert_int_equal(guest_elf_write(g.kernel, code, sizeof(code)), 0);
	vm = guest_start(&c);
	assert_int_equal(guest_wait_event(vm), VM_EVENT_SHUTDOWN);
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	assert_int_equal(vm_mig_ops.save(vm, &w, &e), -ECANCELED);
	vm_free(vm);
	wbuf_fini(&w);
	guest_files_free(&g);
}

/* ---- tracking ------------------------------------------------------------------------------ */

static bool found(const struct dirty_map *d, uint64_t gpa)
{
	return bitmap_test(d->region[0].bits, gpa >> GMEM_PAGE_SHIFT);
}

/*
 * The counting guest, which leaves for its VMM at every turn by writing to port 0x80 (nobody's). A
 * KVM in software interprets a guest without paging, and may queue more writes of it between two
 * looks at the ring than the ring holds: that is an error by right (hv/kvm/dirty_ring.c), but not
 * of here.
 */
static const uint8_t code_count_out[] = { 0xbe, 0x00, 0x00, 0x20, 0x00, /* mov esi, counter */
	0xff, 0x06,                                                     /* inc dword [esi] */
	0xe6, 0x80,                                                     /* out 0x80, al */
	0xeb, 0xfa };                                                   /* jmp to inc */

static void harvest_finds(enum vm_tracking tracking, const char *name)
{
	struct err e = { 0 };
	struct guest_files g;
	struct dirty_map d;
	struct vm_info info;
	struct vm_config c;
	struct vm *vm;

	guest_files_new(&g, code_count_out, sizeof(code_count_out));
	c = guest_config(&g, 1);
	c.tracking = tracking;
	if (vm_new(&vm, &c, &e) == -ENOTSUP) {
		guest_files_free(&g);
		print_message("skipped: %s\n", e.msg);
		skip();
	}
	assert_ok(vm_boot(vm, &e), &e);
	vm_release(vm, VM_HOLD_SETUP);
	vm_info(vm, &info);
	assert_string_equal(info.tracking, name);
	guest_wait_counter(vm, 100);
	assert_ok(dirty_map_init(&d, vm_mem(vm), &e), &e);
	assert_ok(vm_mig_ops.track_start(vm, &e), &e);
	for (unsigned round = 0; round < 3; round++) {
		guest_wait_counter(vm, guest_counter(vm) + 100);
		dirty_map_clear(&d);
		assert_true(gmem_write(vm_mem(vm), 0x300000, "x", 1));
		assert_ok(vm_mig_ops.track_harvest(vm, &d, &e), &e);
		assert_true(found(&d, GUEST_COUNTER));   /* the guest's write */
		assert_true(found(&d, 0x300000));        /* ours */
		assert_false(found(&d, GUEST_ELF_LOAD)); /* the kernel, loaded before the start */
	}
	/* Frozen, one harvest takes all there is. */
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	assert_ok(vm_mig_ops.track_harvest(vm, &d, &e), &e);
	dirty_map_clear(&d);
	assert_ok(vm_mig_ops.track_harvest(vm, &d, &e), &e);
	assert_int_equal(dirty_map_count(&d), 0);
	vm_mig_ops.thaw(vm);
	vm_mig_ops.track_stop(vm);
	guest_wait_counter(vm, guest_counter(vm) + 100);
	dirty_map_fini(&d);
	vm_free(vm);
	guest_files_free(&g);
}

static void harvest_finds_writes_by_ring(void **state)
{
	(void)state;
	harvest_finds(VM_TRACKING_RING, "ring");
}

static void harvest_finds_writes_by_log(void **state)
{
	(void)state;
	harvest_finds(VM_TRACKING_LOG, "log");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_counting_guest_goes_on_in_another_machine),
		cmocka_unit_test(an_access_under_way_is_done_exactly_once),
		cmocka_unit_test(a_paused_guest_arrives_paused),
		cmocka_unit_test(a_guest_is_no_younger_for_having_moved),
		cmocka_unit_test(an_empty_machine_can_be_rehearsed),
		cmocka_unit_test(a_guest_that_arrived_can_reboot),
		cmocka_unit_test(a_wrong_state_is_refused_by_name),
		cmocka_unit_test(a_running_or_stopped_guest_is_not_saved),
		cmocka_unit_test(harvest_finds_writes_by_ring),
		cmocka_unit_test(harvest_finds_writes_by_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
