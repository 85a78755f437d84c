/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guest memory is made of: the text a person writes, what contradicts itself, what the host
 * lacks, and that what was asked for is what is there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>

#include <cmocka.h>

#include <numa.h>
#include <numaif.h>
#include <string.h>

#include "hv/mem/gmem.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static void what_people_write(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
		struct backing b;
	} cases[] = {
		{ "12G", 12 * GIB, { 0 } },
		{ "size=12G", 12 * GIB, { 0 } },
		{ "thp=on", 7, { .thp = true } },
		{ "16G,hugepages=2M", 16 * GIB, { .page = 2 * MIB } },
		{ "hugepages=1G,size=16G", 16 * GIB, { .page = GIB } },
		{ "size=1G,numa=0,1,prealloc=on", GIB, { .nodes = 3, .prealloc = true } },
		{ "1G,numa=63,thp=on", GIB, { .nodes = 1ull << 63, .thp = true } },
		{ "1G,thp=off,prealloc=off", GIB, { 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct backing b = { 0 };
		uint64_t size = 7;

		assert_int_equal(backing_parse(cases[i].text, &size, &b, NULL), 0);
		assert_int_equal(size, cases[i].size);
		assert_int_equal(b.page, cases[i].b.page);
		assert_int_equal(b.nodes, cases[i].b.nodes);
		assert_int_equal(b.thp, cases[i].b.thp);
		assert_int_equal(b.prealloc, cases[i].b.prealloc);
	}
}

static void the_wrong_word_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "" },
		{ "lots", "lots" },
		{ "1G,hugepages=4M", "4M" },
		{ "1G,thp=yes", "yes" },
		{ "1G,thp", "thp" },
		{ "1G,thp=on,2G", "2G" },
		{ "1G,numa=64", "64" },
		{ "1G,numa=", "numa" },
		{ "1G,numa=0,x", "x" },
		{ "1G,pages=2M", "pages" },
		{ "1G,,", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct backing b = { 0 };
		struct err e = { 0 };
		uint64_t size = 0;

		if (backing_parse(cases[i].text, &size, &b, &e) != -EINVAL)
			fail_msg("'%s' was taken", cases[i].text);
		if (!strstr(e.msg, cases[i].says))
			fail_msg("'%s' does not mention '%s'", e.msg, cases[i].says);
	}
}

static void contradictions(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(backing_valid(&(struct backing){ .page = 4 * MIB }, GIB, &e), -EINVAL);
	assert_int_equal(
		backing_valid(&(struct backing){ .page = 2 * MIB, .thp = true }, GIB, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "exclude"));
	assert_int_equal(
		backing_valid(&(struct backing){ .page = GIB }, GIB + 2 * MIB, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "multiple"));
	assert_int_equal(backing_valid(&(struct backing){ .page = 2 * MIB }, GIB, &e), 0);
}

/* No host has sixteen TiB of them, nor a node 63. */
static void what_the_host_lacks_is_named(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
		backing_check(&(struct backing){ .page = 2 * MIB }, 16384 * GIB, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "8388608 free huge pages"));
	assert_non_null(strstr(e.msg, "sysctl vm.nr_hugepages="));
	assert_int_equal(backing_check(&(struct backing){ .page = GIB }, 16384 * GIB, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "hugepagesz=1G"));
	assert_int_equal(backing_check(&(struct backing){ .nodes = 1ull << 63 }, GIB, &e), -ENODEV);
	assert_non_null(strstr(e.msg, "numa="));
}

static uint64_t holes(const struct gmem *m)
{
	uint64_t start, end, from = 0, sum = 0;

	while (gmem_next_data(m, &m->regions[0], from, &start, &end, NULL) > 0) {
		sum += start - from;
		from = end;
	}
	return sum + m->regions[0].size - from;
}

static void preallocated_memory_has_no_hole(void **state)
{
	struct gmem m;

	(void)state;
	assert_int_equal(
		gmem_init_backed(&m, 64 * MIB, &(struct backing){ .prealloc = true }, NULL), 0);
	assert_int_equal(holes(&m), 0);
	gmem_fini(&m);
}

/* 64 MiB of @b at @m, or the test is skipped with what the host lacks. */
static void backed(struct gmem *m, const struct backing *b)
{
	struct err e;

	if (backing_check(b, 64 * MIB, &e)) {
		print_message("# skipped: %s\n", e.msg);
		skip();
	}
	assert_int_equal(gmem_init_backed(m, 64 * MIB, b, &e), 0);
}

static void memory_is_on_its_node(void **state)
{
	const struct backing b = { .nodes = 1, .prealloc = true };
	int node = -1;
	struct gmem m;

	(void)state;
	backed(&m, &b);
	assert_int_equal(get_mempolicy(&node, NULL, 0, m.regions[0].host + 8 * MIB,
				 MPOL_F_NODE | MPOL_F_ADDR),
		0);
	assert_int_equal(node, 0);
	gmem_fini(&m);
}

/* Reserved pages: holes are found, given back and found again, although the file cannot say. */
static void huge_pages_have_holes_too(void **state)
{
	const struct backing b = { .page = 2 * MIB };
	uint64_t start = 0, end = 0;
	struct gmem m;
	struct err e;

	(void)state;
	backed(&m, &b);
	assert_int_equal(holes(&m), 64 * MIB);
	m.regions[0].host[5 * MIB] = 1;
	m.regions[0].host[6 * MIB] = 1;
	assert_int_equal(gmem_next_data(&m, &m.regions[0], 0, &start, &end, NULL), 1);
	assert_int_equal(start, 4 * MIB);
	assert_int_equal(end, 8 * MIB);
	assert_int_equal(gmem_next_data(&m, &m.regions[0], 5 * MIB + 4096, &start, &end, NULL), 1);
	assert_int_equal(start, 5 * MIB + 4096);
	assert_int_equal(gmem_populate(&m, &m.regions[0], 32 * MIB, 2 * MIB), 0);
	assert_int_equal(holes(&m), 58 * MIB);
	assert_int_equal(gmem_discard_all(&m, &e), 0);
	assert_int_equal(holes(&m), 64 * MIB);
	assert_int_equal(m.regions[0].host[5 * MIB], 0);
	gmem_fini(&m);
}

/* Bytes of the mapping that holds @p which are mapped by huge pages. */
static uint64_t huge_bytes(const void *p)
{
	unsigned long long from, to, kib, found = 0;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false;
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
			here = from <= (uintptr_t)p && (uintptr_t)p < to;
		else if (here && sscanf(line, "ShmemPmdMapped: %llu kB", &kib) == 1)
			found = kib << 10;
	}
	fclose(f);
	return found;
}

/* Whatever shmem_enabled says, where this process may mount. */
static void transparent_huge_pages_come_and_go(void **state)
{
	const struct backing b = { .thp = true };
	struct gmem m;
	struct err e;

	(void)state;
	backed(&m, &b);
	assert_int_equal(holes(&m), 64 * MIB);
	assert_int_equal(gmem_populate(&m, &m.regions[0], 0, 32 * MIB), 0);
	assert_int_equal(holes(&m), 32 * MIB);
	/* The kernel may have had too few of them for all. */
	assert_true(huge_bytes(m.regions[0].host) > 0);
	memset(m.regions[0].host, 0x5a, 4 * MIB);
	assert_int_equal(gmem_discard(&m, &m.regions[0], 4096, 4096, &e), 0);
	assert_int_equal(m.regions[0].host[4095], 0x5a);
	assert_int_equal(m.regions[0].host[4096], 0);
	assert_int_equal(m.regions[0].host[8192], 0x5a);
	assert_int_equal(gmem_discard_all(&m, &e), 0);
	assert_int_equal(holes(&m), 64 * MIB);
	gmem_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_people_write),
		cmocka_unit_test(the_wrong_word_is_named),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(what_the_host_lacks_is_named),
		cmocka_unit_test(preallocated_memory_has_no_hole),
		cmocka_unit_test(memory_is_on_its_node),
		cmocka_unit_test(huge_pages_have_holes_too),
		cmocka_unit_test(transparent_huge_pages_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
