/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns ACPI's fixed registers (see acpi_pm.h). Must never act on power itself: it tells the
 * machine. Invariant: the system interrupt is high exactly while an enabled event's status bit is
 * set. Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/acpi_pm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "hv/base/clock.h"
#include "hv/base/machine.h"

#define PM1_GBL    0x0020u
#define PM1_PWRBTN 0x0100u
/* Status bits a guest may find set and clears by writing 1; of these only the button ever rises. */
#define PM1_STS_MASK    0x8731u
#define PM1_EN_MASK     0x0721u
#define PM1_CNT_SCI_EN  0x0001u /* always ACPI mode: there is no SMI to switch it */
#define PM1_CNT_KEPT    0x1c03u /* SLP_TYP, BM_RLD, SCI_EN; the other bits act once */
#define PM1_CNT_SLP_EN  0x2000u
#define PM1_CNT_SLP_TYP 10

#define RCR_HARD 0x02u /* the reset will be a hard one */
#define RCR_CPU  0x04u /* going from 0 to 1 resets */
#define RCR_KEPT 0x0au

struct acpi_pm {
	struct bus *pio;
	struct dev_irq sci;
	struct acpi_pm_power power;
	bool line;
	uint16_t status, enable, control;
	uint8_t rcr;
	uint64_t timer_base; /* ticks to add to what the host's clock gives */
};

static void acpi_pm_update(struct acpi_pm *a)
{
	bool want = a->status & a->enable;

	if (want != a->line) {
		a->line = want;
		a->sci.set(a->sci.arg, want);
	}
}

static uint64_t acpi_pm_ticks_of(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * MACHINE_PM_TMR_HZ / NSEC_PER_SEC);
}

static uint32_t acpi_pm_timer(const struct acpi_pm *a)
{
	return (uint32_t)(acpi_pm_ticks_of(clock_mono_ns()) + a->timer_base);
}

/* Makes the timer read @value now. */
static void acpi_pm_set_timer(struct acpi_pm *a, uint32_t value)
{
	a->timer_base = value - acpi_pm_ticks_of(clock_mono_ns());
}

void acpi_pm_advance(struct acpi_pm *a, uint64_t ns)
{
	a->timer_base += acpi_pm_ticks_of(ns);
}

static uint64_t acpi_pm_read_evt(void *dev, uint64_t off, unsigned size)
{
	const struct acpi_pm *a = dev;

	(void)size;
	return (a->status | (uint64_t)a->enable << 16) >> (8 * off);
}

static void acpi_pm_write_evt(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *a = dev;
	uint32_t mask = (uint32_t)((1ull << (8 * size)) - 1) << (8 * off);
	uint32_t v = (uint32_t)val << (8 * off);

	/* Status is cleared by ones; enable is stored, in the bytes that were written. */
	a->status &= (uint16_t)~v;
	a->enable = (uint16_t)((a->enable & ~(mask >> 16)) | ((v & mask) >> 16)) & PM1_EN_MASK;
	acpi_pm_update(a);
}

static uint64_t acpi_pm_read_cnt(void *dev, uint64_t off, unsigned size)
{
	const struct acpi_pm *a = dev;

	(void)size;
	return (uint64_t)a->control >> (8 * off);
}

static void acpi_pm_write_cnt(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *a = dev;
	uint32_t mask = (uint32_t)((1u << (8 * size)) - 1) << (8 * off);
	uint32_t v = (a->control & ~mask) | ((uint32_t)val << (8 * off) & mask);

	a->control = (uint16_t)((v & PM1_CNT_KEPT) | PM1_CNT_SCI_EN);
	if ((v & PM1_CNT_SLP_EN) && (v >> PM1_CNT_SLP_TYP & 7) == MACHINE_SLP_TYP_S5)
		a->power.shutdown(a->power.arg);
}

static uint64_t acpi_pm_read_tmr(void *dev, uint64_t off, unsigned size)
{
	(void)size;
	return (uint64_t)acpi_pm_timer(dev) >> (8 * off);
}

static uint64_t acpi_pm_read_rcr(void *dev, uint64_t off, unsigned size)
{
	const struct acpi_pm *a = dev;

	(void)off;
	(void)size;
	return a->rcr;
}

static void acpi_pm_write_rcr(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *a = dev;

	(void)off;
	(void)size;
	/* The CPU bit falls back by itself, so each write of 1 is a fresh edge. */
	a->rcr = (uint8_t)(val & RCR_KEPT);
	if (val & RCR_CPU)
		a->power.reset(a->power.arg);
}

void acpi_pm_power_button(struct acpi_pm *a)
{
	pthread_mutex_lock(&a->pio->lock);
	a->status |= PM1_PWRBTN;
	acpi_pm_update(a);
	pthread_mutex_unlock(&a->pio->lock);
}

static void acpi_pm_reset(void *self)
{
	struct acpi_pm *a = self;

	a->status = 0;
	a->enable = 0;
	a->control = PM1_CNT_SCI_EN;
	a->rcr = 0;
	a->line = false;
	a->sci.set(a->sci.arg, 0);
	acpi_pm_set_timer(a, 0);
}

static void acpi_pm_save(void *self, struct wbuf *w)
{
	const struct acpi_pm *a = self;

	wbuf_u16(w, a->status);
	wbuf_u16(w, a->enable);
	wbuf_u16(w, a->control);
	wbuf_u8(w, a->rcr);
	wbuf_u32(w, acpi_pm_timer(a));
}

static int acpi_pm_load(void *self, struct section *s, struct err *e)
{
	struct acpi_pm *a = self;
	uint16_t status, enable, control;
	uint32_t timer;
	uint8_t rcr;
	int rc = section_version(s, acpi_pm_dev_ops.version, e);

	if (rc)
		return rc;
	status = rbuf_u16(&s->body);
	enable = rbuf_u16(&s->body);
	control = rbuf_u16(&s->body);
	rcr = rbuf_u8(&s->body);
	timer = rbuf_u32(&s->body);
	rc = section_done(s, e);
	if (rc)
		return rc;
	if ((status & ~PM1_STS_MASK) || (enable & ~PM1_EN_MASK) || (control & ~PM1_CNT_KEPT) ||
		!(control & PM1_CNT_SCI_EN) || (rcr & ~RCR_KEPT))
		return err_set(e, -EPROTO,
			"acpi_pm: status 0x%04x, enable 0x%04x, control 0x%04x or reset 0x%02x is "
			"impossible",
			status, enable, control, rcr);
	a->status = status;
	a->enable = enable;
	a->control = control;
	a->rcr = rcr;
	acpi_pm_set_timer(a, timer);
	/* The level is told even if it seems unchanged: the controller behind it is a new one. */
	a->line = a->status & a->enable;
	a->sci.set(a->sci.arg, a->line);
	return 0;
}

static void acpi_pm_free(void *self)
{
	free(self);
}

const struct dev_ops acpi_pm_dev_ops = {
	.name = "acpi_pm",
	.version = 1,
	.reset = acpi_pm_reset,
	.save = acpi_pm_save,
	.load = acpi_pm_load,
	.free = acpi_pm_free,
};

int acpi_pm_new(struct acpi_pm **out, struct bus *pio, struct dev_irq sci,
	const struct acpi_pm_power *power, struct err *e)
{
	struct acpi_pm *a = calloc(1, sizeof(*a));
	const struct bus_range range[] = {
		{ .base = MACHINE_PORT_PM1_EVT,
			.len = 4,
			.read = acpi_pm_read_evt,
			.write = acpi_pm_write_evt,
			.dev = a },
		{ .base = MACHINE_PORT_PM1_CNT,
			.len = 2,
			.read = acpi_pm_read_cnt,
			.write = acpi_pm_write_cnt,
			.dev = a },
		{ .base = MACHINE_PORT_PM_TMR,
			.len = 4,
			.read = acpi_pm_read_tmr,
			.write = NULL,
			.dev = a },
		{ .base = MACHINE_PORT_RESET,
			.len = 1,
			.read = acpi_pm_read_rcr,
			.write = acpi_pm_write_rcr,
			.dev = a },
	};

	if (!a)
		return err_set(e, -ENOMEM, "no memory for the ACPI registers");
	a->pio = pio;
	a->sci = sci;
	a->power = *power;
	a->control = PM1_CNT_SCI_EN;
	acpi_pm_set_timer(a, 0);
	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		int rc = bus_add(pio, &range[i], e);

		if (rc) {
			free(a);
			return rc;
		}
	}
	*out = a;
	return 0;
}
