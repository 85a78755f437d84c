/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI bus as firmware and systems use it: both ways into configuration space, BARs that are
 * sized and moved, MSI-X with masks; and as a hostile guest does: everything out of range.
 */
#include "tests/unit/dev_pci_rig.h"

#define BAR_SIZE 0x2000u

struct card {
	struct pci_dev d;
	uint64_t last_off, last_val, moved_to;
	unsigned reads, writes, moves;
};

static uint64_t card_read(void *self, unsigned bar, uint64_t off, unsigned size)
{
	struct card *c = self;

	assert_int_equal(bar, 0);
	assert_true(off + size <= BAR_SIZE);
	c->reads++;
	return 0x1122334455667788ull;
}

static void card_write(void *self, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct card *c = self;

	assert_int_equal(bar, 0);
	assert_true(off + size <= BAR_SIZE);
	c->writes++;
	c->last_off = off;
	c->last_val = val;
}

static void card_moved(void *self, unsigned bar, uint64_t addr)
{
	struct card *c = self;

	(void)bar;
	c->moves++;
	c->moved_to = addr;
}

static const struct pci_ops card_ops = {
	.bar_read = card_read,
	.bar_write = card_write,
	.bar_moved = card_moved,
};

/* Four vectors, table at 0x1000, pending bits at 0x1800. */
static void card_plug(struct card *c, struct pci_rig *r, unsigned slot)
{
	const struct pci_ident id = { .vendor = 0x1234, .device = 0x5678, .class_code = 0x00ff00 };
	struct err e;

	memset(c, 0, sizeof(*c));
	pci_dev_init(&c->d, &id, &card_ops, c);
	pci_dev_bar(&c->d, 0, BAR_SIZE);
	assert_int_equal(pci_dev_msix(&c->d, 4, 0, 0x1000, 0x1800, &e), 0);
	assert_int_equal(pci_dev_plug(&c->d, r->bus, slot, &e), 0);
}

static uint64_t window(unsigned slot)
{
	return MACHINE_PCI_MEM_BASE + slot * (uint64_t)MACHINE_PCI_SLOT_SIZE;
}

static void ports_and_ecam_show_the_same(void **state)
{
	struct pci_rig r;
	struct card c;

	(void)state;
	pci_rig_open(&r);
	card_plug(&c, &r, 3);
	assert_int_equal(cfg_get(&r, 0, 0, 4), 0x00081b36);
	assert_int_equal(cfg_get(&r, 0, 8, 4) >> 8, 0x060000);
	assert_int_equal(cfg_get(&r, 3, 0, 4), 0x56781234);
	bus_write(&r.pio, 0xcf8, 4, 0x80001800);
	assert_int_equal(bus_read(&r.pio, 0xcf8, 4), 0x80001800);
	assert_int_equal(bus_read(&r.pio, 0xcfc, 4), 0x56781234);
	assert_int_equal(bus_read(&r.pio, 0xcfe, 2), 0x5678);
	assert_int_equal(bus_read(&r.pio, 0xcff, 1), 0x56);
	bus_write(&r.pio, 0xcf8, 4, 0x8000183c);
	bus_write(&r.pio, 0xcfc, 1, 0x0b);
	assert_int_equal(cfg_get(&r, 3, 0x3c, 1), 0x0b);
	/* The address register takes nothing but its own four bytes at once: the byte at 0xcf9 is
	 * the reset register's. */
	assert_int_equal(bus_read(&r.pio, 0xcf8, 1), 0xff);
	bus_write(&r.pio, 0xcfb, 1, 0x01);
	assert_int_equal(bus_read(&r.pio, 0xcf8, 4), 0x8000183c);
	/* Not enabled: nobody. */
	bus_write(&r.pio, 0xcf8, 4, 0x1800);
	assert_int_equal(bus_read(&r.pio, 0xcfc, 4), 0xffffffff);
	pci_dev_fini(&c.d);
	pci_rig_close(&r);
}

static void what_is_not_there_reads_all_ones(void **state)
{
	struct pci_rig r;
	struct card c;

	(void)state;
	pci_rig_open(&r);
	card_plug(&c, &r, 1);
	for (unsigned slot = 2; slot < 32; slot++)
		assert_int_equal(cfg_get(&r, slot, 0, 4), 0xffffffff);
	for (unsigned fn = 1; fn < 8; fn++)
		assert_int_equal(cfg_get(&r, 1, fn << 12, 4), 0xffffffff);
	bus_write(&r.pio, 0xcf8, 4, 0x80010800); /* bus 1 */
	assert_int_equal(bus_read(&r.pio, 0xcfc, 4), 0xffffffff);
	bus_write(&r.pio, 0xcfc, 4, 0);
	/* Beyond 256 bytes a function of conventional PCI has nothing; unaligned, there is no
	 * access. */
	assert_int_equal(cfg_get(&r, 1, 0x100, 4), 0);
	assert_int_equal(cfg_get(&r, 1, 0xffc, 4), 0);
	assert_int_equal(cfg_get(&r, 1, 0xfd, 4), 0xffffffff);
	assert_true(bus_read(&r.mmio, ecam(1, 0), 8) == UINT64_MAX);
	for (unsigned off = 0xf0; off < 0x1000; off += 3)
		cfg_set(&r, 1, off, 4, 0xffffffff);
	/* Identity, class, capabilities are not the guest's to change. */
	for (unsigned off = 0; off < 0x100; off += 4)
		if (off != 4 && off != 0x0c && off != 0x10 && off != 0x3c && off != 0x40)
			cfg_set(&r, 1, off, 4, 0xffffffff);
	assert_int_equal(cfg_get(&r, 1, 0, 4), 0x56781234);
	assert_int_equal(cfg_get(&r, 1, 0x14, 4), 0);
	assert_int_equal(cfg_get(&r, 1, 0x34, 1), 0x40);
	pci_dev_fini(&c.d);
	pci_rig_close(&r);
}

static void a_bar_is_sized_and_moved(void **state)
{
	struct pci_rig r;
	struct card c;
	uint64_t old = window(2), new = MACHINE_PCI_MEM_BASE + 0x1f000000;

	(void)state;
	pci_rig_open(&r);
	card_plug(&c, &r, 2);
	assert_int_equal(cfg_get(&r, 2, 0x10, 4), old);
	assert_true(c.moved_to == old);
	assert_true(bus_read(&r.mmio, old + BAR_SIZE - 8 - 0x1000, 8) == 0x1122334455667788ull);
	bus_write(&r.mmio, old + 4, 4, 42);
	assert_int_equal(c.last_off, 4);
	assert_int_equal(c.last_val, 42);
	/* As a system finds out the size: decoding off, all ones, read back. */
	cfg_set(&r, 2, 4, 2, 0);
	assert_true(c.moved_to == 0);
	cfg_set(&r, 2, 0x10, 4, 0xffffffff);
	assert_int_equal(cfg_get(&r, 2, 0x10, 4), ~(BAR_SIZE - 1));
	cfg_set(&r, 2, 0x10, 4, (uint32_t) new + 0x17);
	assert_int_equal(cfg_get(&r, 2, 0x10, 4), new);
	assert_int_equal(bus_read(&r.mmio, new, 4), 0xffffffff);
	cfg_set(&r, 2, 4, 2, 2);
	assert_true(c.moved_to == new);
	c.reads = 0;
	bus_read(&r.mmio, new, 4);
	bus_read(&r.mmio, old, 4);
	assert_int_equal(c.reads, 1);
	/* Half out of it is out of it. */
	assert_true(bus_read(&r.mmio, new + BAR_SIZE - 4, 8) == UINT64_MAX);
	/* To RAM, to the interrupt controllers, to the edge of the window: nowhere. */
	static const uint32_t nowhere[] = { 0, 0x100000, 0xfee00000, 0xfffff000,
		MACHINE_PCI_MEM_BASE - BAR_SIZE, MACHINE_PCI_ECAM_BASE };
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		cfg_set(&r, 2, 0x10, 4, nowhere[i]);
		assert_true(c.moved_to == 0);
	}
	pci_dev_reset(&c.d);
	assert_true(c.moved_to == old);
	pci_dev_fini(&c.d);
	assert_true(c.moved_to == 0);
	pci_rig_close(&r);
}

static void two_bars_in_one_place_have_one_winner(void **state)
{
	struct pci_rig r;
	struct card a, b;

	(void)state;
	pci_rig_open(&r);
	card_plug(&a, &r, 0); /* the first that is free */
	card_plug(&b, &r, 0);
	assert_int_equal(a.d.slot, 1);
	assert_int_equal(b.d.slot, 2);
	cfg_set(&r, 2, 0x10, 4, (uint32_t)window(1));
	bus_write(&r.mmio, window(1), 4, 1);
	assert_int_equal(a.writes, 1);
	assert_int_equal(b.writes, 0);
	pci_dev_fini(&a.d);
	bus_write(&r.mmio, window(1), 4, 1);
	assert_int_equal(b.writes, 1);
	pci_dev_fini(&b.d);
	pci_rig_close(&r);
}

static void slots_run_out(void **state)
{
	const struct pci_ident id = { .vendor = 1 };
	struct pci_dev d[PCI_SLOTS];
	struct pci_rig r;
	struct err e = { 0 };

	(void)state;
	pci_rig_open(&r);
	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		pci_dev_init(&d[i], &id, &card_ops, NULL);
		assert_int_equal(
			pci_dev_plug(&d[i], r.bus, 0, &e), i < PCI_SLOTS - 1 ? 0 : -ENOSPC);
	}
	assert_non_null(strstr(e.msg, "31"));
	assert_int_equal(pci_dev_plug(&d[31], r.bus, 5, &e), -EEXIST);
	assert_int_equal(pci_dev_plug(&d[31], r.bus, 32, &e), -ENOSPC);
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		pci_dev_fini(&d[i]);
	pci_rig_close(&r);
}

#define TABLE(v) (window(1) + 0x1000 + 16 * (v))
#define CONTROL  0x42

/* Vector @v: to APIC 1, vector 0x40 + @v, not masked. */
static void vector_set(struct pci_rig *r, unsigned v)
{
	bus_write(&r->mmio, TABLE(v), 8, 0xfee01000);
	bus_write(&r->mmio, TABLE(v) + 8, 8, 0x40 + v);
}

static void vectors_are_sent_masked_and_pending(void **state)
{
	struct pci_rig r;
	struct card c;

	(void)state;
	pci_rig_open(&r);
	card_plug(&c, &r, 1);
	assert_int_equal(cfg_cap(&r, 1, 0x11, 0), 0x40);
	assert_int_equal(cfg_get(&r, 1, CONTROL, 2), 3);
	assert_true(bus_read(&r.mmio, TABLE(2) + 8, 8) == 1ull << 32); /* masked at first */
	for (unsigned v = 0; v < 4; v++)
		vector_set(&r, v);
	pci_dev_interrupt(&c.d, 1); /* off: lost */
	cfg_set(&r, 1, CONTROL, 2, 0xffff);
	assert_int_equal(cfg_get(&r, 1, CONTROL, 2), 0xc003);
	assert_int_equal(r.msis, 0);
	pci_dev_interrupt(&c.d, 1); /* all masked: pending */
	pci_dev_interrupt(&c.d, 1);
	assert_int_equal(bus_read(&r.mmio, window(1) + 0x1800, 8), 2);
	cfg_set(&r, 1, CONTROL, 2, 0x8000);
	assert_int_equal(r.msis, 1);
	assert_int_equal(r.msi_addr, 0xfee01000);
	assert_int_equal(r.msi_data, 0x41);
	bus_write(&r.mmio, TABLE(3) + 12, 4, 1);
	pci_dev_interrupt(&c.d, 3);
	assert_int_equal(bus_read(&r.mmio, window(1) + 0x1800, 4), 8);
	assert_int_equal(r.msis, 1);
	bus_write(&r.mmio, TABLE(3) + 12, 4, 0);
	assert_int_equal(r.msis, 2);
	assert_int_equal(r.msi_data, 0x43);
	assert_int_equal(bus_read(&r.mmio, window(1) + 0x1800, 4), 0);
	assert_int_equal(c.reads + c.writes, 0); /* the device sees nothing of it */
	pci_dev_fini(&c.d);
	pci_rig_close(&r);
}

static void a_message_to_nowhere_goes_nowhere(void **state)
{
	struct pci_rig r;
	struct card c;

	(void)state;
	pci_rig_open(&r);
	card_plug(&c, &r, 1);
	cfg_set(&r, 1, CONTROL, 2, 0x8000);
	static const uint64_t bad[] = { 0, 0x1000, 0xfec00000, 0xfed00000, 0xfef00000,
		0x1fee00000ull, UINT64_MAX };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vector_set(&r, 0);
		bus_write(&r.mmio, TABLE(0), 8, bad[i]);
		pci_dev_interrupt(&c.d, 0);
	}
	pci_dev_interrupt(&c.d, 4);
	pci_dev_interrupt(&c.d, 0xffff);
	assert_int_equal(r.msis, 0);
	/* Odd accesses to the table change nothing, and beyond it is the device's. */
	bus_write(&r.mmio, TABLE(0), 1, 0xff);
	bus_write(&r.mmio, TABLE(0) + 2, 4, 0xff);
	bus_write(&r.mmio, TABLE(0) + 4, 8, 0xff);
	assert_int_equal(bus_read(&r.mmio, TABLE(0) + 2, 4), 0);
	bus_read(&r.mmio, TABLE(4), 4);
	assert_int_equal(c.reads, 1);
	pci_dev_fini(&c.d);
	pci_rig_close(&r);
}

/* Saves @from and loads it into @to; from byte @at on, @v instead of what was saved. */
static int move_card(struct card *from, struct card *to, size_t cut, int at, uint8_t v)
{
	struct err e = { 0 };
	struct rbuf b;
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	pci_dev_save(&from->d, &w);
	assert_false(w.failed);
	if (at >= 0)
		w.data[at] = v;
	b = rbuf_of(w.data, w.len - cut);
	rc = pci_dev_load(&to->d, &b, &e);
	assert_true(rc == 0 || e.msg[0]);
	assert_true(rc != 0 || rbuf_done(&b));
	wbuf_fini(&w);
	return rc;
}

static void state_moves_with_pending_vectors(void **state)
{
	struct pci_rig ra, rb;
	struct card a, b;

	(void)state;
	pci_rig_open(&ra);
	pci_rig_open(&rb);
	card_plug(&a, &ra, 1);
	card_plug(&b, &rb, 1);
	vector_set(&ra, 0);
	vector_set(&ra, 2);
	cfg_set(&ra, 1, CONTROL, 2, 0x8000);
	bus_write(&ra.mmio, TABLE(2) + 12, 4, 1);
	pci_dev_interrupt(&a.d, 2);
	cfg_set(&ra, 1, 0x10, 4, (uint32_t)window(9));
	cfg_set(&ra, 1, 0x3c, 1, 0x2a);
	assert_int_equal(move_card(&a, &b, 0, -1, 0), 0);
	assert_int_equal(rb.msis, 0);
	assert_true(b.moved_to == window(9));
	assert_int_equal(cfg_get(&rb, 1, 0x3c, 1), 0x2a);
	assert_int_equal(bus_read(&rb.mmio, window(9) + 0x1800, 8), 4);
	bus_write(&rb.mmio, window(9) + 0x1000 + 2 * 16 + 12, 4, 0);
	assert_int_equal(rb.msis, 1);
	assert_int_equal(rb.msi_data, 0x42);
	pci_dev_interrupt(&b.d, 0);
	assert_int_equal(rb.msi_data, 0x40);
	pci_dev_fini(&a.d);
	pci_dev_fini(&b.d);
	pci_rig_close(&ra);
	pci_rig_close(&rb);
}

static void hostile_state_is_refused(void **state)
{
	/* identity, slot, number of registers, a bit of the command register that is not writable,
	 * number of vectors, flags of the first */
	static const struct {
		int at;
		uint8_t v;
	} bad[] = { { 0, 0xff }, { 4, 2 }, { 5, 1 }, { 7, 0x01 }, { 15, 5 }, { 17, 1 }, { 29, 4 } };
	struct pci_rig ra, rb;
	struct card a, b;
	size_t len = 4 + 1 + 2 + 8 + 2 + 4 * 13;

	(void)state;
	pci_rig_open(&ra);
	pci_rig_open(&rb);
	card_plug(&a, &ra, 1);
	card_plug(&b, &rb, 1);
	assert_int_equal(move_card(&a, &b, 0, -1, 0), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(move_card(&a, &b, 0, bad[i].at, bad[i].v), -EPROTO);
	for (size_t cut = 1; cut <= len; cut++)
		assert_int_equal(move_card(&a, &b, cut, -1, 0), -EPROTO);
	pci_dev_fini(&a.d);
	pci_dev_fini(&b.d);
	pci_rig_close(&ra);
	pci_rig_close(&rb);
}

static void the_bridge_has_a_section(void **state)
{
	struct section s = { .name = "pci", .version = 1 };
	struct pci_rig a, b;
	struct err e;
	struct wbuf w;

	(void)state;
	pci_rig_open(&a);
	pci_rig_open(&b);
	bus_write(&a.pio, 0xcf8, 4, 0x80001234);
	wbuf_init(&w);
	pci_bus_dev_ops.save(a.bus, &w);
	s.body = rbuf_of(w.data, w.len);
	assert_int_equal(pci_bus_dev_ops.load(b.bus, &s, &e), 0);
	assert_int_equal(bus_read(&b.pio, 0xcf8, 4), 0x80001234);
	for (size_t cut = 1; cut <= w.len; cut++) {
		s.body = rbuf_of(w.data, w.len - cut);
		assert_int_equal(pci_bus_dev_ops.load(b.bus, &s, &e), -EPROTO);
	}
	w.data[0] = 1;
	s.body = rbuf_of(w.data, w.len);
	assert_int_equal(pci_bus_dev_ops.load(b.bus, &s, &e), -EPROTO);
	pci_bus_dev_ops.reset(b.bus);
	assert_int_equal(bus_read(&b.pio, 0xcf8, 4), 0);
	wbuf_fini(&w);
	pci_rig_close(&a);
	pci_rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_and_ecam_show_the_same),
		cmocka_unit_test(what_is_not_there_reads_all_ones),
		cmocka_unit_test(a_bar_is_sized_and_moved),
		cmocka_unit_test(two_bars_in_one_place_have_one_winner),
		cmocka_unit_test(slots_run_out),
		cmocka_unit_test(vectors_are_sent_masked_and_pending),
		cmocka_unit_test(a_message_to_nowhere_goes_nowhere),
		cmocka_unit_test(state_moves_with_pending_vectors),
		cmocka_unit_test(hostile_state_is_refused),
		cmocka_unit_test(the_bridge_has_a_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
