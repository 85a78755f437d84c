/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's disk keeps what it was given, answers every request once, comes to rest for a move and
 * goes on at the other host; and its image is written only where the guest is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "tests/lib/disk_rig.h"

static void test_what_the_guest_writes_it_reads(void **state)
{
	uint64_t page = (DATA + 0x100000) >> GMEM_PAGE_SHIFT;
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	disk_fill(&g, DATA, 65536, 1);
	assert_int_equal(disk_ask(&h, &g, OUT, 64, DATA, 65536), VBLK_S_OK);
	assert_int_equal(disk_ask(&h, &g, FLUSH, 0, 0, 0), VBLK_S_OK);
	for (uint64_t w = 0; w < BITMAP_WORDS(g.mem.regions[0].size >> GMEM_PAGE_SHIFT); w++)
		bitmap_take_word(g.mem.regions[0].written, w);
	assert_int_equal(disk_ask(&h, &g, IN, 64, DATA + 0x100000, 65536), VBLK_S_OK);
	disk_same(&g, DATA, DATA + 0x100000, 65536);
	/* KVM did not see any of it: a move must learn it from here. */
	for (unsigned i = 0; i < 16; i++)
		assert_true(bitmap_test(g.mem.regions[0].written, page + i));
	assert_true(h.v->r.isr & 1);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_all_queues_are_served_and_none_is_lost(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 80; i++) {
			disk_fill(&g, DATA + i * 4096, 4096, i + round);
			disk_request(&g, i % 2, i, OUT, i * 8, DATA + i * 4096, 4096);
		}
		disk_kick(&h, 1);
		disk_work(&h, &g, 0);
		disk_work(&h, &g, 1);
		for (unsigned i = 0; i < 80; i++)
			disk_request(&g, i % 2, i, IN, i * 8, DATA + 0x100000 + i * 4096, 4096);
		disk_kick(&h, 1);
		disk_work(&h, &g, 0);
		disk_work(&h, &g, 1);
		for (unsigned i = 0; i < 80; i++)
			assert_int_equal(disk_status(&g, i), VBLK_S_OK);
		disk_same(&g, DATA, DATA + 0x100000, 80 * 4096);
	}
	disk_host_close(&h);
	disk_guest_fini(&g);
}

/* More than the disk takes at a time: the rest waits in the rings, and is not forgotten there. */
static void test_more_requests_than_it_has_room_for(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	h.answer = -EAGAIN;
	for (unsigned i = 0; i < 80 * QUEUES; i++)
		disk_request(&g, i / 80, i, OUT, i, DATA + i * 512, 512);
	for (unsigned q = 0; q < QUEUES; q++)
		disk_kick(&h, q);
	for (unsigned i = 0; i < 10; i++)
		disk_turn(&h);
	h.answer = 0;
	for (unsigned q = 0; q < QUEUES; q++) {
		while (disk_get(&g, disk_ring(USED, q) + 2, 2) != 80)
			disk_turn(&h);
	}
	for (unsigned i = 0; i < 80 * QUEUES; i++)
		assert_int_equal(disk_status(&g, i), VBLK_S_OK);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_serial_number_and_configuration(void **state)
{
	uint8_t c[60];
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	assert_int_equal(disk_ask(&h, &g, ID, 0, DATA, 20), VBLK_S_OK);
	assert_memory_equal(gmem_view(&g.mem, DATA, 20), "WATARI0001\0\0\0\0\0\0\0\0\0\0", 20);
	disk_fill(&g, DATA, 16, 1);
	assert_int_equal(
		disk_ask(&h, &g, ID, 0, DATA, 3), VBLK_S_OK); /* no more than there is room */
	virtio_config_get(h.v, 0, c, sizeof(c));
	assert_int_equal(c[1], DISK / 512 >> 8);
	assert_int_equal(c[12] | c[13] << 8, VBLK_SEGMENTS - 2);
	assert_int_equal(c[20] | c[21] << 8, 512);
	assert_int_equal(c[24], 3);
	assert_int_equal(c[34], QUEUES);
	assert_int_equal(c[40], VBLK_RANGES);
	assert_int_equal(c[56], 1);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_a_discard_of_several_ranges(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	disk_put(&g, DATA, 0, 8);
	disk_put(&g, DATA + 8, 8, 8);
	disk_put(&g, DATA + 16, 16, 8);
	disk_put(&g, DATA + 24, 8, 8);
	assert_int_equal(disk_ask(&h, &g, DISCARD, 0, DATA, 32), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_DISCARD], 2);
	disk_put(&g, DATA + 16, DISK, 8);
	assert_int_equal(disk_ask(&h, &g, DISCARD, 0, DATA, 32), VBLK_S_IOERR);
	assert_int_equal(h.ops[BLOCK_DISCARD], 2);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_without_flush_every_write_is_flushed(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, 1ull << 32);
	assert_int_equal(disk_ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	assert_int_equal(disk_ask(&h, &g, OUT, 8, DATA, 4096), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_FLUSH], 2);
	assert_int_equal(disk_ask(&h, &g, IN, 8, DATA, 4096), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_FLUSH], 2);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_an_error_of_the_image_is_the_guests(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	h.answer = -EIO;
	assert_int_equal(disk_ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(disk_ask(&h, &g, IN, 0, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(disk_ask(&h, &g, FLUSH, 0, 0, 0), VBLK_S_IOERR);
	h.answer = 0;
	assert_int_equal(disk_ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	assert_int_equal(disk_ask(&h, &g, OUT, DISK / 512, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(disk_ask(&h, &g, 99, 0, DATA, 4096), VBLK_S_UNSUPP);
	assert_int_equal(h.v->r.status & VIRTIO_ST_NEEDS_RESET, 0);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_a_request_without_a_status_stops_the_disk_until_reset(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	disk_put(&g, HEADERS, OUT, 8);
	disk_desc(&g, 0, 0, HEADERS, 16, 0); /* nothing to write to */
	disk_offer(&g, 0, 0);
	disk_kick(&h, 0);
	while (!(h.v->r.status & VIRTIO_ST_NEEDS_RESET))
		disk_turn(&h);
	virtio_lock(h.v);
	virtio_set_status(h.v, 0);
	virtio_unlock(h.v);
	disk_driver_start(&h, &g, FEATURES);
	assert_int_equal(disk_ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_a_reset_waits_for_what_is_under_way(void **state)
{
	struct disk_guest g;
	struct disk_host h;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	h.answer = -EAGAIN; /* the kernel asks to try again, and again */
	for (unsigned i = 0; i < 10; i++)
		disk_request(&g, 0, i, IN, i * 8, DATA + i * 4096, 4096);
	disk_kick(&h, 0);
	for (unsigned i = 0; i < 5; i++)
		disk_turn(&h);
	virtio_lock(h.v);
	virtio_set_status(h.v, 0);
	assert_true(h.v->resetting);
	virtio_unlock(h.v);
	disk_turn(&h);
	assert_true(h.v->resetting);
	h.answer = 0;
	while (h.v->resetting)
		disk_turn(&h);
	assert_int_equal(disk_get(&g, disk_ring(USED, 0) + 2, 2), 0); /* nothing after a reset */
	disk_driver_start(&h, &g, FEATURES);
	assert_int_equal(disk_ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void save(struct disk_host *h, struct wbuf *w)
{
	wbuf_init(w);
	virtio_blk_dev_ops.save(h->v, w);
	assert_false(w->failed);
}

static int load(struct disk_host *h, const struct wbuf *w, size_t len, struct err *e)
{
	struct section s = { .name = "virtio-blk", .version = virtio_blk_dev_ops.version };

	s.body = rbuf_of(w->data, len);
	return virtio_blk_dev_ops.load(h->v, &s, e);
}

static void hand_over(struct disk_host *from, struct disk_host *to)
{
	struct err e;

	assert_int_equal(virtio_blk_lock(to->v, &e), -EAGAIN);
	assert_int_equal(virtio_blk_release(from->v, &e), 0);
	assert_int_equal(virtio_blk_lock(to->v, &e), 0);
}

static void test_it_moves_with_requests_under_way(void **state)
{
	struct disk_host a, b;
	struct disk_guest g;
	struct wbuf w;
	struct err e;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&a, &g, false);
	disk_host_open(&b, &g, true); /* the image is open at both, locked at one */
	disk_driver_start(&a, &g, FEATURES);
	for (unsigned i = 0; i < 60; i++) {
		disk_fill(&g, DATA + i * 4096, 4096, i);
		disk_request(&g, 0, i, OUT, i * 8, DATA + i * 4096, 4096);
	}
	disk_kick(&a, 0);
	disk_turn(&a);
	virtio_blk_dev_ops.quiesce(a.v);
	/* What was taken is answered, flushed, and the image is free. */
	assert_int_equal(disk_get(&g, disk_ring(USED, 0) + 2, 2), 60);
	assert_true(a.ops[BLOCK_FLUSH] >= 1);
	for (unsigned i = 60; i < 80; i++) /* these nobody has seen yet */
		disk_request(&g, 0, i, OUT, i * 8, DATA + i * 4096, 4096);
	save(&a, &w);
	if (load(&b, &w, w.len, &e))
		fail_msg("%s", e.msg);
	hand_over(&a, &b);
	virtio_blk_dev_ops.resume(b.v);
	while (disk_get(&g, disk_ring(USED, 0) + 2, 2) != 80) /* without a kick */
		disk_turn(&b);
	for (unsigned i = 0; i < 80; i++)
		assert_int_equal(disk_status(&g, i), VBLK_S_OK);
	assert_int_equal(disk_ask(&b, &g, IN, 0, DATA + 0x100000, 80 * 4096), VBLK_S_OK);
	disk_same(&g, DATA, DATA + 0x100000, 80 * 4096);
	disk_host_close(&a);
	assert_int_equal(disk_ask(&b, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	disk_host_close(&b);
	wbuf_fini(&w);
	disk_guest_fini(&g);
}

/* With its own thread: stopped anywhere, it is at rest, and goes on where it was. */
static void test_it_can_be_held_at_any_moment(void **state)
{
	struct disk_host h;
	struct disk_guest g;
	struct err e;

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&h, &g, false);
	disk_driver_start(&h, &g, FEATURES);
	assert_int_equal(virtio_start(h.v, "disk-root", &e), 0);
	for (unsigned round = 0; round < 100; round++) {
		virtio_blk_dev_ops.quiesce(h.v);
		for (unsigned i = 0; i < 80; i++)
			disk_request(&g, i % 4, i, i % 2 ? IN : OUT, i * 8, DATA + i * 4096, 4096);
		for (bool all = false; !all;) {
			virtio_blk_dev_ops.resume(h.v);
			virtio_blk_dev_ops.quiesce(h.v);
			all = true;
			for (unsigned q = 0; q < QUEUES; q++)
				all &= disk_get(&g, disk_ring(USED, q) + 2, 2) == g.avail[q];
		}
		for (unsigned i = 0; i < 80; i++)
			assert_int_equal(disk_status(&g, i), VBLK_S_OK);
		virtio_blk_dev_ops.resume(h.v);
	}
	disk_host_close(&h);
	disk_guest_fini(&g);
}

static void test_the_lock_is_where_the_guest_is(void **state)
{
	struct disk_host a, b, c;
	struct disk_guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&a, &g, false);
	assert_int_equal(disk_host_try(&c, &g, false, false, &e), -EAGAIN);
	assert_non_null(strstr(e.msg, "guest g1 on host"));
	disk_host_close(&c);
	disk_host_open(&b, &g, true);
	/* A rehearsal at the target: no lock changes hands. */
	save(&b, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	/* Not at rest, it is not given up. At rest, also a disk that no driver uses, it changes
	 * hands once, and between the two nobody's timer takes it. */
	assert_int_equal(virtio_blk_release(a.v, &e), -EBUSY);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	hand_over(&a, &b);
	assert_int_equal(disk_host_try(&c, &g, false, false, &e), -EAGAIN);
	disk_host_close(&c);
	/* The move fails before the commit: the target goes, the source has it again. */
	disk_host_close(&b);
	virtio_blk_dev_ops.resume(a.v);
	assert_int_equal(disk_host_try(&c, &g, false, false, &e), -EAGAIN);
	disk_host_close(&c);
	disk_driver_start(&a, &g, FEATURES);
	assert_int_equal(disk_ask(&a, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	disk_host_close(&a);
	disk_host_open(&c, &g, false);
	disk_host_close(&c);
	assert_int_equal(access(g.note, F_OK), -1);
	disk_guest_fini(&g);
}

static void test_without_the_lock_the_disk_stands_still(void **state)
{
	struct disk_host a, b;
	struct disk_guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&a, &g, false);
	disk_host_open(&b, &g, true);
	disk_driver_start(&a, &g, FEATURES);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	hand_over(&a, &b);
	virtio_blk_dev_ops.resume(a.v); /* the target is slow to die */
	disk_request(&g, 0, 0, OUT, 0, DATA, 4096);
	disk_kick(&a, 0);
	disk_turn(&a);
	disk_turn(&a);
	assert_int_equal(a.ops[BLOCK_WRITE], 0);
	disk_host_close(&b);
	disk_work(&a, &g, 0); /* by its timer */
	assert_int_equal(a.ops[BLOCK_WRITE], 1);
	disk_host_close(&a);
	disk_guest_fini(&g);
}

static void test_a_disk_that_cannot_come_to_rest_does_not_move(void **state)
{
	struct disk_host a, b;
	struct disk_guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&a, &g, false);
	disk_host_open(&b, &g, true);
	disk_driver_start(&a, &g, FEATURES);
	a.answer = -EAGAIN; /* for ever */
	disk_request(&g, 0, 0, OUT, 0, DATA, 4096);
	disk_kick(&a, 0);
	disk_turn(&a);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "disk 'root'"));
	wbuf_fini(&w);
	a.answer = 0;
	virtio_blk_dev_ops.resume(a.v);
	disk_work(&a, &g, 0);
	assert_int_equal(disk_status(&g, 0), VBLK_S_OK);
	disk_host_close(&a);
	disk_host_close(&b);
	disk_guest_fini(&g);
}

static void test_state_that_does_not_fit_is_refused(void **state)
{
	struct disk_host a, b;
	struct disk_guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	disk_guest_init(&g);
	disk_host_open(&a, &g, false);
	disk_driver_start(&a, &g, FEATURES);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	disk_host_open(&b, &g, true);
	for (size_t cut = 1; cut <= w.len; cut++)
		assert_true(load(&b, &w, w.len - cut, &e) < 0);
	w.data[w.len - 1] = 3;
	assert_int_equal(load(&b, &w, w.len, &e), -EPROTO);
	w.data[w.len - 1] = 1;
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	disk_host_close(&b);
	assert_int_equal(truncate(g.path, DISK / 2), 0);
	disk_host_open(&b, &g, true);
	assert_int_equal(load(&b, &w, w.len, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "is it the same image?"));
	disk_host_close(&b);
	assert_int_equal(disk_host_try(&b, &g, true, true, &e), 0);
	assert_int_equal(load(&b, &w, w.len, &e), -EPROTO); /* features of a disk that is written */
	disk_host_close(&b);
	wbuf_fini(&w);
	disk_host_close(&a);
	disk_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_guest_writes_it_reads),
		cmocka_unit_test(test_all_queues_are_served_and_none_is_lost),
		cmocka_unit_test(test_more_requests_than_it_has_room_for),
		cmocka_unit_test(test_serial_number_and_configuration),
		cmocka_unit_test(test_a_discard_of_several_ranges),
		cmocka_unit_test(test_without_flush_every_write_is_flushed),
		cmocka_unit_test(test_an_error_of_the_image_is_the_guests),
		cmocka_unit_test(test_a_request_without_a_status_stops_the_disk_until_reset),
		cmocka_unit_test(test_a_reset_waits_for_what_is_under_way),
		cmocka_unit_test(test_it_moves_with_requests_under_way),
		cmocka_unit_test(test_it_can_be_held_at_any_moment),
		cmocka_unit_test(test_the_lock_is_where_the_guest_is),
		cmocka_unit_test(test_without_the_lock_the_disk_stands_still),
		cmocka_unit_test(test_a_disk_that_cannot_come_to_rest_does_not_move),
		cmocka_unit_test(test_state_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
