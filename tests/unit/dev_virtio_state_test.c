/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device moves in the middle of its work; state that no device could have is refused; and
 * the random number device, worker and all, does what it is for.
 */
#include "tests/unit/dev_virtio_note.h"

#include <sched.h>

#include "hv/dev/virtio_rng.h"

/* Saves @a and loads it into @b, with byte @at (if not negative) replaced, @cut bytes missing. */
static int move_note(struct rig *a, struct rig *b, size_t cut, int at, uint8_t v, size_t *len)
{
	struct section s = { .name = "note", .version = 2 };
	struct err e = { 0 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	note_dev_ops.save(a->n.v, &w);
	assert_false(w.failed);
	if (len)
		*len = w.len;
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = note_dev_ops.load(b->n.v, &s, &e);
	assert_true(rc == 0 || e.msg[0]);
	wbuf_fini(&w);
	return rc;
}

static void a_device_moves_in_the_middle_of_its_work(void **state)
{
	struct virtq_chain c;
	struct rig a, b;
	struct err e;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	rig_drive(&a);
	run(&a);
	assert_int_equal(virtq_chain_init(&c, 4, &e), 0);
	for (uint16_t i = 0; i < 5; i++) {
		ring_desc(&a.ring[0], i, 0x10000, 8, RING_WRITE, 0);
		ring_make(&a.ring[0], i);
		assert_int_equal(virtq_pop(virtio_queue(a.n.v, 0), &c), 1);
		if (i != 3) /* that one is under way */
			virtq_push(virtio_queue(a.n.v, 0), &c, i);
	}
	a.n.own = 0x1234;
	bus_write(&a.pci.mmio, a.d.device + 4, 4, 0x31323334);
	note_dev_ops.quiesce(a.n.v);
	/* Memory moves, too. */
	memcpy(gmem_view(&b.m, 0x100000, 0x300000), gmem_view(&a.m, 0x100000, 0x300000), 0x300000);
	assert_int_equal(move_note(&a, &b, 0, -1, 0, NULL), 0);
	assert_int_equal(b.n.activated, 1);
	assert_true(b.n.features == (VIRTIO_1 | FEATURE));
	assert_int_equal(b.n.own, 0x1234);
	run(&b);
	assert_int_equal(b.n.notified[0], 0); /* not before the thaw */
	note_dev_ops.resume(b.n.v);
	run(&b);
	assert_int_equal(b.n.resumed, 1);
	assert_int_equal(b.n.notified[0], 1);
	assert_int_equal(b.n.notified[2], 1);
	assert_int_equal(driver_status(&b.d), 0x0f);
	assert_int_equal(bus_read(&b.pci.mmio, b.d.device + 4, 4), 0x31323334);
	/* The request that was under way is answered over there, by the vector it had. */
	b.ring[0].made = 5;
	assert_int_equal(virtq_pop(virtio_queue(b.n.v, 0), &c), 0);
	assert_int_equal(virtq_chain_at(virtio_queue(b.n.v, 0), 3, &c), 1);
	virtq_push(virtio_queue(b.n.v, 0), &c, 8);
	virtq_signal(virtio_queue(b.n.v, 0));
	assert_int_equal(ring_used_idx(&b.ring[0]), 5);
	assert_int_equal(ring_used_id(&b.ring[0], 4), 3);
	assert_int_equal(b.pci.msis, 1);
	assert_int_equal(b.pci.msi_data, 0x41);
	virtq_chain_fini(&c);
	rig_close(&a);
	rig_close(&b);
}

static void hostile_state_is_refused(void **state)
{
	struct rig a, b;
	size_t len = 0;
	unsigned refused = 0;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	rig_drive(&a);
	note_dev_ops.quiesce(a.n.v);
	assert_int_equal(move_note(&a, &b, 0, -1, 0, &len), 0);
	for (size_t cut = 1; cut <= len; cut++)
		assert_int_equal(move_note(&a, &b, cut, -1, 0, NULL), -EPROTO);
	/* Any byte, whatever it says: refused, or taken and then fit to be saved again. */
	for (size_t at = 0; at < len; at++)
		for (unsigned v = 0; v < 256; v += 15)
			refused += move_note(&a, &b, 0, (int)at, (uint8_t)v, NULL) != 0;
	assert_true(refused > 0);
	assert_int_equal(move_note(&a, &b, 0, 0, 2, NULL), -EPROTO); /* a newer core */
	/* Features of another device. */
	assert_int_equal(move_note(&a, &b, 0, -1, 0, NULL), 0);
	rig_close(&a);
	rig_close(&b);
}

/* With its worker: a request by a kick from outside, answered by an interrupt. */
static void the_random_number_device_answers(void **state)
{
	struct virtio *v = NULL;
	struct pci_rig r;
	struct gmem m;
	struct driver d;
	struct ring ring;
	struct err e;
	uint8_t got[64], zero[64] = { 0 };

	(void)state;
	pci_rig_open(&r);
	assert_int_equal(gmem_init(&m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(virtio_rng_new(&v, r.bus, 0, &m, &e), 0);
	assert_int_equal(virtio_start(v, "rng", &e), 0);
	assert_int_equal(cfg_get(&r, 1, 0, 4), 0x10441af4);
	d = driver_at(&r, 1);
	ring = ring_at(&m, 0x100000, 8);
	assert_true(driver_negotiate(&d, VIRTIO_1 | VIRTIO_EVENT_IDX));
	driver_vectors(&d, 2);
	driver_queue(&d, 0, &ring, 1);
	driver_set_status(&d, 0x0f);
	ring_desc(&ring, 0, 0x10000, 40, RING_WRITE | RING_NEXT, 1);
	ring_desc(&ring, 1, 0x20000, 24, RING_WRITE, 0);
	ring_make(&ring, 0);
	driver_kick(&d, 0);
	for (;;) {
		uint16_t used;

		virtio_lock(v);
		used = ring_used_idx(&ring);
		virtio_unlock(v);
		if (used)
			break;
		sched_yield();
	}
	virtio_rng_dev_ops.quiesce(v);
	assert_int_equal(ring_used_len(&ring, 0), 64);
	assert_int_equal(r.msis, 1);
	assert_int_equal(r.msi_data, 0x41);
	assert_true(gmem_read(&m, 0x10000, got, 40) && gmem_read(&m, 0x20000, got + 40, 24));
	assert_memory_not_equal(got, zero, 40);
	assert_memory_not_equal(got + 40, zero, 24);
	virtio_rng_dev_ops.resume(v);
	virtio_rng_dev_ops.reset(v);
	assert_int_equal(driver_status(&d), 0);
	virtio_rng_dev_ops.free(v);
	gmem_fini(&m);
	pci_rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_moves_in_the_middle_of_its_work),
		cmocka_unit_test(hostile_state_is_refused),
		cmocka_unit_test(the_random_number_device_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
