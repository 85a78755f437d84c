/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The balloon: what the guest gives up is a hole in its memory afterwards, and only that; while a
 * move has memory registered nothing is given back; statistics; guests that break the rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/dev/virtio_balloon.h"
#include "tests/lib/virtio_driver.h"

#define INFLATE    0
#define DEFLATE    1
#define STATS      2
#define REPORT     4
#define QUEUE_SIZE 64
#define ALL        (~0ull)
#define F_STATS    (1ull << 1)
#define LIST       (DRV_DATA - 0x10000) /* where the test's requests are */
#define PAGES      64u

static void rig_open(struct drv *d, uint64_t features, unsigned queues)
{
	struct err e = { 0 };

	drv_init(d);
	assert_int_equal(virtio_balloon_new(&d->v, d->bus, 0, &d->mem, &e), 0);
	drv_start(d, features, queues, QUEUE_SIZE);
	memset(gmem_view(&d->mem, DRV_DATA, PAGES * GMEM_PAGE_SIZE), 0x5a, PAGES * GMEM_PAGE_SIZE);
}

static bool allocated(struct drv *d, unsigned page)
{
	const struct gmem_region *r = &d->mem.regions[0];
	uint64_t at = DRV_DATA + page * GMEM_PAGE_SIZE, start, end;

	return gmem_next_data(&d->mem, r, at, &start, &end, NULL) > 0 && start == at;
}

/* Which of the test's pages are no hole, as bits. */
static uint64_t kept_pages(struct drv *d)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < PAGES; i++)
		bits |= (uint64_t)allocated(d, i) << i;
	return bits;
}

static void request(struct drv *d, unsigned q, const uint32_t *page, unsigned n)
{
	uint32_t pfn[256];

	for (unsigned i = 0; i < n; i++)
		pfn[i] = (uint32_t)(DRV_DATA / GMEM_PAGE_SIZE) + page[i];
	drv_put(d, LIST, pfn, n * sizeof(pfn[0]));
	drv_add(d, q, &(struct drv_seg){ LIST, (uint32_t)(n * sizeof(pfn[0])), false }, 1);
	drv_kick(d, q);
}

static void pages_given_up_are_holes(void **state)
{
	/* In no order, one twice. */
	static const uint32_t page[] = { 9, 8, 3, 4, 5, 63, 8 };
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 5);
	request(&d, INFLATE, page, 7);
	assert_int_equal(drv_used(&d, INFLATE, NULL), 0);
	assert_int_equal(
		kept_pages(&d), ~(1ull << 3 | 7ull << 4 | 3ull << 8 | 1ull << 63) | 1ull << 6);
	/* They are marked: a move that sent them has to say that they are zero. */
	assert_true(bitmap_test(d.mem.regions[0].written, DRV_DATA / GMEM_PAGE_SIZE + 9));
	assert_false(bitmap_test(d.mem.regions[0].written, DRV_DATA / GMEM_PAGE_SIZE + 10));
	request(&d, DEFLATE, page, 7);
	assert_true(drv_used(&d, DEFLATE, NULL) >= 0);
	assert_int_equal(*gmem_view(&d.mem, DRV_DATA + 9 * GMEM_PAGE_SIZE, 1), 0);
	drv_fini(&d);
}

static void reported_pages_are_holes_where_they_are_whole(void **state)
{
	const struct drv_seg seg[] = { { DRV_DATA, 4 * GMEM_PAGE_SIZE, true },
		{ DRV_DATA + 8 * GMEM_PAGE_SIZE + 100, 2 * GMEM_PAGE_SIZE, true } };
	struct balloon_info info;
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 5);
	drv_add(&d, REPORT, seg, 2);
	drv_kick(&d, REPORT);
	assert_true(drv_used(&d, REPORT, NULL) >= 0);
	assert_int_equal(kept_pages(&d), ~(15ull | 1ull << 9));
	virtio_balloon_look(d.v, &info);
	assert_int_equal(info.reported, 6 * GMEM_PAGE_SIZE);
	drv_fini(&d);
}

/* Linux before 6.11 numbers queues without gaps. */
static void the_queue_of_reports_is_where_linux_puts_it(void **state)
{
	const struct drv_seg seg = { DRV_DATA, GMEM_PAGE_SIZE, true };
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 4);
	drv_add(&d, 3, &seg, 1);
	drv_kick(&d, 3);
	assert_int_equal(kept_pages(&d), ~1ull);
	drv_fini(&d);
	rig_open(&d, ALL & ~F_STATS, 3);
	drv_add(&d, 2, &seg, 1);
	drv_kick(&d, 2);
	assert_int_equal(kept_pages(&d), ~1ull);
	drv_fini(&d);
}

static void while_a_move_has_memory_registered_nothing_is_given_back(void **state)
{
	static const uint32_t page[] = { 1, 2 };
	const struct drv_seg seg = { DRV_DATA + 8 * GMEM_PAGE_SIZE, GMEM_PAGE_SIZE, true };
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 5);
	gmem_keep(&d.mem, true);
	request(&d, INFLATE, page, 2);
	drv_add(&d, REPORT, &seg, 1);
	drv_kick(&d, REPORT);
	/* The one waits, the other passes without effect. */
	assert_int_equal(drv_used(&d, INFLATE, NULL), -1);
	assert_true(drv_used(&d, REPORT, NULL) >= 0);
	assert_int_equal(kept_pages(&d), ~0ull);
	gmem_keep(&d.mem, false);
	virtio_balloon_wake(d.v);
	drv_run(&d);
	assert_int_equal(drv_used(&d, INFLATE, NULL), 0);
	assert_int_equal(kept_pages(&d), ~6ull);
	drv_fini(&d);
}

static void a_request_that_waited_is_served_where_the_guest_arrives(void **state)
{
	static const uint32_t page[] = { 1, 2 };
	struct err e = { 0 };
	struct drv a, b;
	struct wbuf w, again;

	(void)state;
	wbuf_init(&w);
	wbuf_init(&again);
	rig_open(&a, ALL, 5);
	drv_config_write(&a, 4, 4, 77);
	assert_int_equal(virtio_balloon_ask(a.v, 512 * GMEM_PAGE_SIZE, &e), 0);
	gmem_keep(&a.mem, true);
	request(&a, INFLATE, page, 2);
	drv_save(&a, &virtio_balloon_dev_ops, &w);
	drv_init(&b);
	assert_int_equal(virtio_balloon_new(&b.v, b.bus, 0, &b.mem, &e), 0);
	drv_adopt(&b, &a);
	assert_int_equal(drv_load(&b, &virtio_balloon_dev_ops, w.data, w.len, &e), 0);
	drv_save(&b, &virtio_balloon_dev_ops, &again);
	assert_int_equal(again.len, w.len);
	assert_memory_equal(again.data, w.data, w.len);
	assert_int_equal(drv_config(&b, 0, 4), 512);
	assert_int_equal(drv_config(&b, 4, 4), 77);
	virtio_dev_resume(b.v);
	drv_run(&b);
	assert_int_equal(drv_used(&b, INFLATE, NULL), 0);
	assert_int_equal(kept_pages(&b), ~6ull);
	for (size_t n = 0; n < w.len; n += 7)
		assert_int_equal(drv_load(&b, &virtio_balloon_dev_ops, w.data, n, &e), -EPROTO);
	wbuf_fini(&w);
	wbuf_fini(&again);
	drv_fini(&a);
	drv_fini(&b);
}

static void what_is_asked_of_the_guest_is_a_change_of_configuration(void **state)
{
	struct balloon_info info;
	struct err e = { 0 };
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 5);
	assert_int_equal(virtio_balloon_ask(d.v, 8 << 20, &e), 0);
	assert_int_equal(d.msi[0], 1);
	assert_int_equal(drv_config(&d, 0, 4), 2048);
	drv_config_write(&d, 4, 4, 2000);
	drv_config_write(&d, 0, 4, 1); /* not the guest's to write */
	virtio_balloon_look(d.v, &info);
	assert_true(info.active);
	assert_int_equal(info.asked, 8 << 20);
	assert_int_equal(info.given, 2000 * GMEM_PAGE_SIZE);
	drv_reset(&d);
	assert_int_equal(virtio_balloon_ask(d.v, 8 << 20, &e), -ENODEV);
	assert_non_null(strstr(e.msg, "virtio_balloon"));
	drv_fini(&d);
}

static void stats_put(struct drv *d, uint16_t tag, uint64_t val, unsigned i)
{
	uint8_t entry[10];

	memcpy(entry, &tag, 2);
	memcpy(entry + 2, &val, 8);
	drv_put(d, LIST + 10 * i, entry, sizeof(entry));
}

static void statistics_are_kept_and_asked_for_anew(void **state)
{
	const struct drv_seg seg = { LIST, 30, false };
	struct balloon_info info;
	uint16_t event;
	struct drv d;

	(void)state;
	rig_open(&d, ALL, 5);
	virtio_balloon_look(d.v, &info);
	assert_int_equal(info.stats, 0);
	assert_int_equal(info.stats_ns, 0);
	stats_put(&d, BALLOON_TOTAL, 64 << 20, 0);
	stats_put(&d, BALLOON_FREE, 5 << 20, 1);
	stats_put(&d, 999, 1, 2); /* of a later version */
	drv_add(&d, STATS, &seg, 1);
	drv_kick(&d, STATS);
	/* The next one shall bring a kick (2.7.10), although this one was not followed by a look.
	 */
	drv_get(&d, d.q[STATS].used + 4 + 8 * QUEUE_SIZE, &event, sizeof(event));
	assert_int_equal(event, 1);
	/* The buffer stays here until somebody asks. */
	assert_int_equal(drv_used(&d, STATS, NULL), -1);
	virtio_balloon_look(d.v, &info);
	assert_int_equal(info.stats, 1u << BALLOON_TOTAL | 1u << BALLOON_FREE);
	assert_int_equal(info.stat[BALLOON_FREE], 5 << 20);
	assert_int_equal(drv_used(&d, STATS, NULL), 0);
	/* Held again, then a freeze: it is back in its queue, and comes again afterwards. */
	stats_put(&d, BALLOON_FREE, 4 << 20, 1);
	drv_add(&d, STATS, &seg, 1);
	drv_kick(&d, STATS);
	virtio_dev_quiesce(d.v);
	stats_put(&d, BALLOON_FREE, 3 << 20, 1); /* not told anew, so not read anew */
	virtio_dev_resume(d.v);
	drv_run(&d);
	virtio_balloon_look(d.v, &info);
	assert_int_equal(info.stat[BALLOON_FREE], 4 << 20);
	assert_int_equal(drv_used(&d, STATS, NULL), 1);
	assert_int_equal(drv_used(&d, STATS, NULL), -1);
	drv_add(&d, STATS, &seg, 1);
	drv_kick(&d, STATS);
	virtio_balloon_look(d.v, &info);
	assert_int_equal(info.stat[BALLOON_FREE], 3 << 20);
	drv_fini(&d);
}

static void the_device_stops_for(unsigned q, const void *list, size_t n, bool in)
{
	struct drv d;

	rig_open(&d, ALL, 5);
	drv_put(&d, LIST, list, n);
	drv_add(&d, q, &(struct drv_seg){ LIST, (uint32_t)n, in }, 1);
	drv_kick(&d, q);
	assert_true(drv_status(&d) & DRV_NEEDS_RESET);
	assert_int_equal(kept_pages(&d), ~0ull);
	drv_start(&d, ALL, 5, QUEUE_SIZE);
	request(&d, INFLATE, (uint32_t[]){ 0 }, 1);
	assert_int_equal(kept_pages(&d), ~1ull);
	drv_fini(&d);
}

static void a_guest_that_breaks_the_rules_stops_its_balloon(void **state)
{
	const uint32_t first = DRV_DATA / GMEM_PAGE_SIZE;

	(void)state;
	/* Beyond memory, and beyond what there can be; half a number; a list that may be written.
	 */
	the_device_stops_for(INFLATE, (uint32_t[]){ first, DRV_MEMORY / GMEM_PAGE_SIZE }, 8, false);
	the_device_stops_for(INFLATE, (uint32_t[]){ first, UINT32_MAX }, 8, false);
	the_device_stops_for(INFLATE, (uint32_t[]){ first, first }, 7, false);
	the_device_stops_for(INFLATE, (uint32_t[]){ first }, 4, true);
	the_device_stops_for(DEFLATE, (uint32_t[]){ first }, 4, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_given_up_are_holes),
		cmocka_unit_test(reported_pages_are_holes_where_they_are_whole),
		cmocka_unit_test(the_queue_of_reports_is_where_linux_puts_it),
		cmocka_unit_test(while_a_move_has_memory_registered_nothing_is_given_back),
		cmocka_unit_test(a_request_that_waited_is_served_where_the_guest_arrives),
		cmocka_unit_test(what_is_asked_of_the_guest_is_a_change_of_configuration),
		cmocka_unit_test(statistics_are_kept_and_asked_for_anew),
		cmocka_unit_test(a_guest_that_breaks_the_rules_stops_its_balloon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
