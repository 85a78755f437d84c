/* SPDX-License-Identifier: Apache-2.0 */
/* The processor a guest is shown: topology, features taken away, and the check before a move. Pure.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "hv/kvm/cpuid.h"

#define MAX 64

static struct kvm_cpuid2 *table_new(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX * sizeof(struct kvm_cpuid_entry2));

	assert_non_null(c);
	return c;
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

	assert_true(c->nent <= MAX);
	e->function = function;
	e->index = index;
	e->flags = function == 4 || function == 7 || function == 0xd || function == 0x8000001d
			   ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX
			   : 0;
	return e;
}

static struct kvm_cpuid_entry2 *get(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == function && c->entries[i].index == index)
			return &c->entries[i];
	}
	fail_msg("no leaf %#x.%u", function, index);
	return NULL;
}

/* An Intel-like or AMD-like host with all feature bits of leaf 1 set. */
static struct kvm_cpuid2 *host(bool amd)
{
	struct kvm_cpuid2 *c = table_new();
	struct kvm_cpuid_entry2 *e = add(c, 0, 0);

	e->eax = 0x1f;
	memcpy(&e->ebx, amd ? "Auth" : "Genu", 4);
	memcpy(&e->edx, amd ? "enti" : "ineI", 4);
	memcpy(&e->ecx, amd ? "cAMD" : "ntel", 4);
	e = add(c, 1, 0);
	e->ebx = 0x07330800;
	e->ecx = e->edx = ~0u;
	e = add(c, 4, 0);
	e->eax = 1 | 1 << 5 | 63u << 26 | 1 << 14; /* L1 data, host's sharing */
	e = add(c, 4, 1);
	e->eax = 3 | 3 << 5 | 63u << 26 | 127 << 14; /* L3 */
	add(c, 7, 0)->ebx = 1u << 16 | 1u << 5;
	add(c, 0xa, 0)->eax = 0x08300805;
	add(c, 0xb, 0)->edx = 99; /* the host's own: replaced */
	add(c, 0x80000001, 0)->ecx = ~0u;
	e = add(c, 0x80000008, 0);
	e->eax = 46;
	e->ecx = 0x7fff;
	add(c, 0x8000001d, 0)->eax = 3 | 3 << 5 | 0xfffu << 14;
	e = add(c, 0x8000001e, 0);
	e->eax = e->ebx = e->ecx = ~0u;
	return c;
}

static struct kvm_cpuid2 *build(bool amd, unsigned cpus, unsigned id, bool deadline)
{
	struct kvm_cpuid2 *h = host(amd), *c = table_new();

	cpuid_build(c, MAX, h,
		&(struct cpuid_shape){ .cpus = cpus, .id = id, .tsc_deadline = deadline });
	free(h);
	return c;
}

static void each_vcpu_has_its_apic_id_in_every_leaf_that_shows_one(void **state)
{
	struct kvm_cpuid2 *c = build(false, 6, 5, true);

	(void)state;
	assert_int_equal(get(c, 1, 0)->ebx >> 24, 5);
	assert_int_equal(get(c, 1, 0)->ebx >> 16 & 0xff, 6);
	for (uint32_t level = 0; level < 3; level++) {
		assert_int_equal(get(c, 0xb, level)->edx, 5);
		assert_int_equal(get(c, 0x1f, level)->edx, 5);
	}
	assert_int_equal(get(c, 0x8000001e, 0)->eax, 5);
	free(c);
}

static void six_cpus_are_six_single_thread_cores_of_one_socket(void **state)
{
	struct kvm_cpuid2 *c = build(false, 6, 0, true);

	(void)state;
	assert_int_equal(get(c, 0xb, 0)->eax, 0); /* no bits for threads */
	assert_int_equal(get(c, 0xb, 0)->ebx, 1);
	assert_int_equal(get(c, 0xb, 0)->ecx, 0x100);
	assert_int_equal(get(c, 0xb, 1)->eax, 3); /* three bits hold six cores */
	assert_int_equal(get(c, 0xb, 1)->ebx, 6);
	assert_int_equal(get(c, 0xb, 1)->ecx, 0x201);
	assert_int_equal(get(c, 0xb, 2)->ecx, 2); /* the end */
	assert_int_equal(get(c, 4, 0)->eax >> 26, 7);
	assert_int_equal(get(c, 4, 0)->eax >> 14 & 0xfff, 0); /* L1 is private */
	assert_int_equal(get(c, 4, 1)->eax >> 14 & 0xfff, 7); /* L3 is everybody's */
	assert_int_equal(get(c, 4, 1)->eax & 0x1f, 3);
	assert_int_equal(get(c, 0x80000008, 0)->ecx, 0x7fff); /* not an AMD: left alone */
	free(c);
}

static void an_amd_guest_counts_cores_in_its_own_leaf(void **state)
{
	struct kvm_cpuid2 *c = build(true, 6, 2, true);

	(void)state;
	assert_int_equal(get(c, 0x80000008, 0)->ecx & 0xff, 5);
	assert_int_equal(get(c, 0x80000008, 0)->ecx >> 12 & 0xf, 3);
	assert_int_equal(get(c, 0x8000001d, 0)->eax >> 14 & 0xfff, 7);
	assert_int_equal(get(c, 0x8000001e, 0)->ebx, 2);
	free(c);
}

static void what_does_not_travel_is_not_shown(void **state)
{
	struct kvm_cpuid2 *c = build(false, 1, 0, false);
	uint32_t ecx = get(c, 1, 0)->ecx;

	(void)state;
	assert_int_equal(ecx & (1u << 5 | 1u << 15 | 1u << 24 | 1u << 27), 0);
	assert_true(ecx >> 31 & 1);
	assert_true(ecx >> 21 & 1);
	assert_int_equal(get(c, 1, 0)->edx & (1u << 28), 0); /* alone in its package */
	assert_int_equal(get(c, 0xa, 0)->eax, 0);
	assert_int_equal(get(c, 0x80000001, 0)->ecx & 1u << 2, 0);
	free(c);
	c = build(false, 2, 0, true);
	assert_true(get(c, 1, 0)->ecx >> 24 & 1);
	assert_true(get(c, 1, 0)->edx >> 28 & 1);
	free(c);
}

static void a_table_with_no_room_is_cut_not_overrun(void **state)
{
	struct kvm_cpuid2 *h = host(false), *c = table_new();

	(void)state;
	cpuid_build(c, 3, h, &(struct cpuid_shape){ .cpus = 1 });
	assert_int_equal(c->nent, 3);
	cpuid_build(c, h->nent, h, &(struct cpuid_shape){ .cpus = 1 });
	assert_true(c->nent <= h->nent);
	free(h);
	free(c);
}

static void a_missing_feature_is_named(void **state)
{
	struct kvm_cpuid2 *was = build(false, 2, 0, true), *is = build(false, 2, 0, true);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cpuid_check(was, is, &e), 0);
	get(is, 7, 0)->ebx &= ~(1u << 16);
	get(is, 1, 0)->ecx &= ~(1u << 24);
	get(is, 1, 0)->ecx &= ~(1u << 14); /* a bit without a name in the table */
	assert_int_equal(cpuid_check(was, is, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "avx512f"));
	assert_non_null(strstr(e.msg, "tsc_deadline"));
	assert_non_null(strstr(e.msg, "cpuid 0x1.0 ecx bit 14"));
	/* The other way round nothing is missing. */
	assert_int_equal(cpuid_check(is, was, &e), 0);
	free(was);
	free(is);
}

static void another_vendor_and_narrower_addresses_are_refused(void **state)
{
	struct kvm_cpuid2 *intel = build(false, 1, 0, true), *amd = build(true, 1, 0, true);
	struct kvm_cpuid2 *narrow = build(false, 1, 0, true);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(cpuid_check(intel, amd, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "GenuineIntel"));
	assert_non_null(strstr(e.msg, "AuthenticAMD"));
	get(narrow, 0x80000008, 0)->eax = 39;
	assert_int_equal(cpuid_check(intel, narrow, &e), -ENOTSUP);
	assert_non_null(strstr(e.msg, "46 bits"));
	free(intel);
	free(amd);
	free(narrow);
}

static void an_encoded_table_comes_back_and_a_long_one_fails(void **state)
{
	struct kvm_cpuid2 *c = build(false, 3, 1, true), *d = table_new();
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	cpuid_encode(c, &w);
	r = rbuf_of(w.data, w.len);
	cpuid_decode(d, MAX, &r);
	assert_true(rbuf_done(&r));
	assert_true(cpuid_equal(c, d));
	d->entries[0].eax++;
	assert_false(cpuid_equal(c, d));
	r = rbuf_of(w.data, w.len);
	cpuid_decode(d, c->nent - 1, &r);
	assert_true(r.failed);
	r = rbuf_of(w.data, w.len - 1);
	cpuid_decode(d, MAX, &r);
	assert_true(r.failed);
	wbuf_fini(&w);
	free(c);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_vcpu_has_its_apic_id_in_every_leaf_that_shows_one),
		cmocka_unit_test(six_cpus_are_six_single_thread_cores_of_one_socket),
		cmocka_unit_test(an_amd_guest_counts_cores_in_its_own_leaf),
		cmocka_unit_test(what_does_not_travel_is_not_shown),
		cmocka_unit_test(a_table_with_no_room_is_cut_not_overrun),
		cmocka_unit_test(a_missing_feature_is_named),
		cmocka_unit_test(another_vendor_and_narrower_addresses_are_refused),
		cmocka_unit_test(an_encoded_table_comes_back_and_a_long_one_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
