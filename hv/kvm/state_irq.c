/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the sections of the machine itself: clock, the two PICs, the IOAPIC, the PIT. Field by
 * field: no KVM struct goes out. The clock's loading is state_clock.c's. Must never load the IOAPIC
 * before the local APICs: see kvm_state_load(). Next in the flow: state_clock.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/internal.h"

/* What the PIC and the PIT may hold, so that a hostile state cannot index past KVM's tables. */
static void pic_decode(struct kvm_pic_state *p, struct rbuf *r)
{
	p->last_irr = rbuf_u8(r);
	p->irr = rbuf_u8(r);
	p->imr = rbuf_u8(r);
	p->isr = rbuf_u8(r);
	p->priority_add = rbuf_u8(r);
	p->irq_base = rbuf_u8(r);
	p->read_reg_select = rbuf_u8(r);
	p->poll = rbuf_u8(r);
	p->special_mask = rbuf_u8(r);
	p->init_state = rbuf_u8(r);
	p->auto_eoi = rbuf_u8(r);
	p->rotate_on_auto_eoi = rbuf_u8(r);
	p->special_fully_nested_mode = rbuf_u8(r);
	p->init4 = rbuf_u8(r);
	p->elcr = rbuf_u8(r);
	p->elcr_mask = rbuf_u8(r);
	if (p->priority_add > 7 || p->init_state > 3)
		r->failed = true;
}

static void pic_encode(const struct kvm_pic_state *p, struct wbuf *w)
{
	wbuf_u8(w, p->last_irr);
	wbuf_u8(w, p->irr);
	wbuf_u8(w, p->imr);
	wbuf_u8(w, p->isr);
	wbuf_u8(w, p->priority_add);
	wbuf_u8(w, p->irq_base);
	wbuf_u8(w, p->read_reg_select);
	wbuf_u8(w, p->poll);
	wbuf_u8(w, p->special_mask);
	wbuf_u8(w, p->init_state);
	wbuf_u8(w, p->auto_eoi);
	wbuf_u8(w, p->rotate_on_auto_eoi);
	wbuf_u8(w, p->special_fully_nested_mode);
	wbuf_u8(w, p->init4);
	wbuf_u8(w, p->elcr);
	wbuf_u8(w, p->elcr_mask);
}

static void ioapic_encode(const struct kvm_ioapic_state *p, struct wbuf *w)
{
	wbuf_u64(w, p->base_address);
	wbuf_u32(w, p->ioregsel);
	wbuf_u32(w, p->id);
	wbuf_u32(w, p->irr);
	wbuf_u8(w, KVM_IOAPIC_NUM_PINS);
	for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		wbuf_u64(w, p->redirtbl[i].bits);
}

static void ioapic_decode(struct kvm_ioapic_state *p, struct rbuf *r)
{
	p->base_address = rbuf_u64(r);
	p->ioregsel = rbuf_u32(r);
	p->id = rbuf_u32(r);
	p->irr = rbuf_u32(r);
	if (rbuf_u8(r) != KVM_IOAPIC_NUM_PINS)
		r->failed = true;
	for (int i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		p->redirtbl[i].bits = rbuf_u64(r);
}

/* count_load_time stays behind: it is the source host's monotonic time, and KVM sets its own. */
static void pit_encode(const struct kvm_pit_state2 *p, struct wbuf *w)
{
	for (int i = 0; i < 3; i++) {
		const struct kvm_pit_channel_state *c = &p->channels[i];

		wbuf_u32(w, c->count);
		wbuf_u16(w, c->latched_count);
		wbuf_u8(w, c->count_latched);
		wbuf_u8(w, c->status_latched);
		wbuf_u8(w, c->status);
		wbuf_u8(w, c->read_state);
		wbuf_u8(w, c->write_state);
		wbuf_u8(w, c->write_latch);
		wbuf_u8(w, c->rw_mode);
		wbuf_u8(w, c->mode);
		wbuf_u8(w, c->bcd);
		wbuf_u8(w, c->gate);
	}
	wbuf_u32(w, p->flags);
}

static void pit_decode(struct kvm_pit_state2 *p, struct rbuf *r)
{
	for (int i = 0; i < 3; i++) {
		struct kvm_pit_channel_state *c = &p->channels[i];

		c->count = rbuf_u32(r);
		c->latched_count = rbuf_u16(r);
		c->count_latched = rbuf_u8(r);
		c->status_latched = rbuf_u8(r);
		c->status = rbuf_u8(r);
		c->read_state = rbuf_u8(r);
		c->write_state = rbuf_u8(r);
		c->write_latch = rbuf_u8(r);
		c->rw_mode = rbuf_u8(r);
		c->mode = rbuf_u8(r);
		c->bcd = rbuf_u8(r);
		c->gate = rbuf_u8(r);
		/* KVM starts a channel in mode 0xff, which is none, until the guest sets one. */
		if (c->count > 65536 || (c->mode > 5 && c->mode != 0xff) || c->gate > 1)
			r->failed = true;
	}
	p->flags = rbuf_u32(r);
}

enum irq_part { PART_CLOCK, PART_PIC0, PART_PIC1, PART_IOAPIC, PART_PIT, PARTS };

/* The sections; bit number in kvm_vm_staged.have = position. */
static const struct {
	const char *name;
	uint32_t instance;
} irq_part[PARTS] = {
	[PART_CLOCK] = { "kvm-clock", 0 },
	[PART_PIC0] = { "kvm-pic", 0 },
	[PART_PIC1] = { "kvm-pic", 1 },
	[PART_IOAPIC] = { "kvm-ioapic", 0 },
	[PART_PIT] = { "kvm-pit", 0 },
};

#define IRQ_VERSION 1

static int irq_read(struct kvm_vm *vm, struct kvm_irqchip *chip, uint32_t id, struct err *e)
{
	memset(chip, 0, sizeof(*chip));
	chip->chip_id = id;
	if (ioctl(vm->fd, KVM_GET_IRQCHIP, chip) < 0)
		return err_errno(e, "cannot read interrupt controller %u", id);
	return 0;
}

int kvm_irq_save(struct kvm_vm *vm, struct wbuf *w, struct err *e)
{
	struct kvm_irqchip chip;
	struct kvm_pit_state2 pit;

	for (int i = 0; i < PARTS; i++) {
		size_t at = section_begin(w, irq_part[i].name, irq_part[i].instance, IRQ_VERSION);
		int r = 0;

		switch ((enum irq_part)i) {
		case PART_CLOCK: wbuf_u64(w, vm->staged->read_clock); break;
		case PART_PIC0:
		case PART_PIC1:
			r = irq_read(vm, &chip, i == PART_PIC0 ? 0 : 1, e);
			if (r == 0)
				pic_encode(&chip.chip.pic, w);
			break;
		case PART_IOAPIC:
			r = irq_read(vm, &chip, KVM_IRQCHIP_IOAPIC, e);
			if (r == 0)
				ioapic_encode(&chip.chip.ioapic, w);
			break;
		case PART_PIT:
		case PARTS:
			if (ioctl(vm->fd, KVM_GET_PIT2, &pit) < 0)
				r = err_errno(e, "cannot read the interval timer");
			else
				pit_encode(&pit, w);
			break;
		}
		if (r)
			return r;
		section_end(w, at);
	}
	return 0;
}

static void irq_decode(struct kvm_vm_staged *st, int part, struct rbuf *r)
{
	switch ((enum irq_part)part) {
	case PART_CLOCK: st->clock = rbuf_u64(r); break;
	case PART_PIC0: pic_decode(&st->chip[0].chip.pic, r); break;
	case PART_PIC1: pic_decode(&st->chip[1].chip.pic, r); break;
	case PART_IOAPIC: ioapic_decode(&st->chip[2].chip.ioapic, r); break;
	case PART_PIT:
	case PARTS: pit_decode(&st->pit, r); break;
	}
}

int kvm_irq_take(struct kvm_vm *vm, struct section *s, struct err *e)
{
	struct kvm_vm_staged *st = vm->staged;
	bool named = false;

	for (int i = 0; i < PARTS; i++) {
		int r;

		if (strcmp(s->name, irq_part[i].name) != 0)
			continue;
		named = true;
		if (s->instance != irq_part[i].instance)
			continue;
		if (st->have & 1u << i)
			return err_set(e, -EPROTO,
				"state section '%s' (instance %u) is there twice", s->name,
				s->instance);
		r = section_version(s, IRQ_VERSION, e);
		if (r)
			return r;
		irq_decode(st, i, &s->body);
		r = section_done(s, e);
		if (r)
			return r;
		st->have |= 1u << i;
		return 1;
	}
	return named ? err_set(e, -EPROTO, "state section '%s' has no instance %u", s->name,
			       s->instance)
		     : 0;
}

int kvm_irq_missing(const struct kvm_vm *vm, struct err *e)
{
	for (int i = 0; i < PARTS; i++) {
		if (!(vm->staged->have & 1u << i))
			return err_set(e, -EPROTO, "state section '%s' (instance %u) is missing",
				irq_part[i].name, irq_part[i].instance);
	}
	return 0;
}

int kvm_irq_load(struct kvm_vm *vm, struct err *e)
{
	struct kvm_vm_staged *st = vm->staged;

	for (uint32_t i = 0; i < 3; i++) {
		st->chip[i].chip_id = i;
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &st->chip[i]) < 0)
			return err_errno(e, "cannot set interrupt controller %u", i);
	}
	/* Last: its timer starts at once, and its first tick must find the controllers as saved. */
	if (ioctl(vm->fd, KVM_SET_PIT2, &st->pit) < 0)
		return err_errno(e, "cannot set the interval timer");
	return 0;
}
