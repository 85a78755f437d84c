/* SPDX-License-Identifier: Apache-2.0 */
/* A disk request is read however it is cut into segments, and a hostile one gets an error at most.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dev/virtio_blk_req.h"

#define DISK (1u << 20)

enum { IN = 0, OUT = 1, FLUSH = 4, ID = 8, DISCARD = 11, ZEROES = 13 };

struct rig {
	uint8_t out[8192], in[8192];
	struct iovec iov[VBLK_SEGMENTS];
	struct virtq_chain c;
	struct vblk_limits l;
	struct vblk_order o;
	struct iovec data[VBLK_SEGMENTS];
};

static void le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* @out bytes to read, @in bytes to write, each cut into segments of @cut bytes (0: one segment). */
static void rig_chain(struct rig *r, size_t out, size_t in, size_t cut)
{
	r->c = (struct virtq_chain){
		.max = VBLK_SEGMENTS, .iov = r->iov, .out_len = out, .in_len = in
	};
	for (size_t at = 0; at < out; r->c.nout++) {
		size_t n = cut && cut < out - at ? cut : out - at;

		r->iov[r->c.nout] = (struct iovec){ r->out + at, n };
		at += n;
	}
	for (size_t at = 0; at < in; r->c.nin++) {
		size_t n = cut && cut < in - at ? cut : in - at;

		r->iov[r->c.nout + r->c.nin] = (struct iovec){ r->in + at, n };
		at += n;
	}
}

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->l = (struct vblk_limits){ .size = DISK,
		.unit = 512,
		.features = 1ull << VBLK_F_FLUSH | 1ull << VBLK_F_DISCARD |
			    1ull << VBLK_F_WRITE_ZEROES };
}

static enum vblk_verdict ask(
	struct rig *r, uint32_t type, uint64_t sector, size_t out, size_t in, size_t cut)
{
	le(r->out, type, 4);
	le(r->out + 8, sector, 8);
	rig_chain(r, 16 + out, in + 1, cut);
	return vblk_decode(&r->c, &r->l, &r->o, r->data);
}

static void answers(struct rig *r, enum vblk_verdict v, enum vblk_status s)
{
	assert_int_equal(v, VBLK_ANSWER);
	assert_int_equal(r->o.status, s);
}

static void range(struct rig *r, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	le(r->out + 16 + 16 * i, sector, 8);
	le(r->out + 24 + 16 * i, n, 4);
	le(r->out + 28 + 16 * i, flags, 4);
}

/* The memory of the order is these bytes, in order, whatever the segments. */
static void covers(const struct rig *r, const uint8_t *p, size_t len)
{
	size_t at = 0;

	for (unsigned i = 0; i < r->o.niov; i++) {
		assert_ptr_equal(r->data[i].iov_base, p + at);
		assert_true(r->data[i].iov_len > 0);
		at += r->data[i].iov_len;
	}
	assert_int_equal(at, len);
}

static void test_reads_and_writes_in_any_framing(void **state)
{
	static const size_t cuts[] = { 0, 16, 17, 40, 512, 513, 4096 };
	struct rig r;

	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		assert_int_equal(ask(&r, IN, 3, 0, 2048, cuts[i]), VBLK_DO);
		assert_int_equal(r.o.op, BLOCK_READ);
		assert_int_equal(r.o.nranges, 1);
		assert_int_equal(r.o.range[0].off, 3 * 512);
		assert_int_equal(r.o.range[0].len, 2048);
		covers(&r, r.in, 2048);
		assert_int_equal(ask(&r, OUT, 5, 1024, 0, cuts[i]), VBLK_DO);
		assert_int_equal(r.o.op, BLOCK_WRITE);
		assert_int_equal(r.o.range[0].off, 5 * 512);
		assert_int_equal(r.o.range[0].len, 1024);
		covers(&r, r.out + 16, 1024);
	}
}

static void test_flush_and_id(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(ask(&r, FLUSH, 0, 0, 0, 0), VBLK_DO);
	assert_int_equal(r.o.op, BLOCK_FLUSH);
	assert_int_equal(r.o.nranges, 1);
	assert_int_equal(ask(&r, ID, 0, 0, 20, 7), VBLK_ID);
}

static void test_the_ends_of_the_disk(void **state)
{
	const uint64_t end = DISK / 512;
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(ask(&r, IN, end - 1, 0, 512, 0), VBLK_DO);
	answers(&r, ask(&r, IN, end - 1, 0, 1024, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, end, 0, 512, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, end, 0, 0, 0), VBLK_S_OK);
	answers(&r, ask(&r, IN, UINT64_MAX, 0, 512, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, UINT64_MAX / 512, 0, 1024, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, 1ull << 55, 0, 512, 0), VBLK_S_IOERR); /* << 9 is 0 */
	answers(&r, ask(&r, OUT, end, 512, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, 0, 0, 511, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, OUT, 0, 513, 0, 0), VBLK_S_IOERR);
	r.l.unit = 4096; /* a disk of large sectors */
	answers(&r, ask(&r, IN, 0, 0, 512, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, IN, 1, 0, 4096, 0), VBLK_S_IOERR);
	assert_int_equal(ask(&r, IN, 8, 0, 4096, 0), VBLK_DO);
}

static void test_what_has_no_shape_breaks_the_device(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_chain(&r, 16, 0, 0); /* no status */
	assert_int_equal(vblk_decode(&r.c, &r.l, &r.o, r.data), VBLK_BROKEN);
	assert_non_null(strstr(r.o.why, "status"));
	rig_chain(&r, 15, 1, 0);
	assert_int_equal(vblk_decode(&r.c, &r.l, &r.o, r.data), VBLK_BROKEN);
	assert_non_null(strstr(r.o.why, "header"));
	rig_chain(&r, 0, 513, 0);
	assert_int_equal(vblk_decode(&r.c, &r.l, &r.o, r.data), VBLK_BROKEN);
	rig_chain(&r, 16, 513, 0);
	r.c.in_len = VBLK_DATA_MAX + 1;
	assert_int_equal(vblk_decode(&r.c, &r.l, &r.o, r.data), VBLK_BROKEN);
	assert_non_null(strstr(r.o.why, "1 GiB"));
}

static void test_wrong_types_are_unsupported(void **state)
{
	static const uint32_t types[] = { 2, 3, 5, 9, 10, 12, 14, 0x80000000u, UINT32_MAX };
	struct rig r;

	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		answers(&r, ask(&r, types[i], 0, 512, 512, 0), VBLK_S_UNSUPP);
	range(&r, 0, 0, 8, 0);
	r.l.features = 0; /* not agreed on */
	answers(&r, ask(&r, DISCARD, 0, 16, 0, 0), VBLK_S_UNSUPP);
	answers(&r, ask(&r, ZEROES, 0, 16, 0, 0), VBLK_S_UNSUPP);
}

static void test_ranges(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	range(&r, 0, 8, 16, 0);
	range(&r, 1, DISK / 512 - 1, 1, 0);
	assert_int_equal(ask(&r, DISCARD, 0, 32, 0, 16), VBLK_DO);
	assert_int_equal(r.o.op, BLOCK_DISCARD);
	assert_int_equal(r.o.nranges, 2);
	assert_int_equal(r.o.range[0].off, 4096);
	assert_int_equal(r.o.range[0].len, 8192);
	assert_int_equal(r.o.range[1].off, DISK - 512);
	range(&r, 1, 0, 1, 1);
	assert_int_equal(ask(&r, ZEROES, 0, 32, 0, 3), VBLK_DO);
	assert_int_equal(r.o.op, BLOCK_ZERO);
	assert_false(r.o.range[0].unmap);
	assert_true(r.o.range[1].unmap);
}

static void test_hostile_ranges(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	range(&r, 0, 0, 8, 1);
	answers(&r, ask(&r, DISCARD, 0, 16, 0, 0), VBLK_S_UNSUPP); /* it has no flags */
	range(&r, 0, 0, 8, 2);
	answers(&r, ask(&r, ZEROES, 0, 16, 0, 0), VBLK_S_UNSUPP);
	range(&r, 0, DISK / 512, 1, 0);
	answers(&r, ask(&r, ZEROES, 0, 16, 0, 0), VBLK_S_IOERR);
	range(&r, 0, UINT64_MAX, UINT32_MAX, 0);
	answers(&r, ask(&r, DISCARD, 0, 16, 0, 0), VBLK_S_IOERR);
	range(&r, 0, 0, UINT32_MAX, 0);
	answers(&r, ask(&r, DISCARD, 0, 16, 0, 0), VBLK_S_IOERR);
	range(&r, 0, 0, 8, 0);
	answers(&r, ask(&r, DISCARD, 0, 0, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, DISCARD, 0, 15, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, DISCARD, 0, 17, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, DISCARD, 0, 16 * (VBLK_RANGES + 1), 0, 0), VBLK_S_IOERR);
	range(&r, 1, DISK, 1, 0); /* a good range before a bad one is not begun */
	answers(&r, ask(&r, DISCARD, 0, 32, 0, 0), VBLK_S_IOERR);
}

static void test_a_read_only_disk_is_never_changed(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.l.readonly = true;
	range(&r, 0, 0, 8, 0);
	answers(&r, ask(&r, OUT, 0, 512, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, DISCARD, 0, 16, 0, 0), VBLK_S_IOERR);
	answers(&r, ask(&r, ZEROES, 0, 16, 0, 0), VBLK_S_IOERR);
	assert_int_equal(ask(&r, IN, 0, 0, 512, 0), VBLK_DO);
	assert_int_equal(ask(&r, FLUSH, 0, 0, 0, 0), VBLK_DO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_and_writes_in_any_framing),
		cmocka_unit_test(test_flush_and_id),
		cmocka_unit_test(test_the_ends_of_the_disk),
		cmocka_unit_test(test_what_has_no_shape_breaks_the_device),
		cmocka_unit_test(test_wrong_types_are_unsupported),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_hostile_ranges),
		cmocka_unit_test(test_a_read_only_disk_is_never_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
