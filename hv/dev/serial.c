/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the registers and FIFOs of a 16550A (see serial.h). Must never call tx() or block while its
 * lock is held: the console's thread waits for the same lock.
 * Invariant: after every change serial_update() has run, so the line is high exactly while an
 * enabled interrupt is pending, OUT2 is set and loopback is off (the PC wires OUT2 as the gate).
 * Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_PORTS 8u
#define SERIAL_FIFO  16u

enum {
	SERIAL_DATA,
	SERIAL_IER,
	SERIAL_IIR,
	SERIAL_LCR,
	SERIAL_MCR,
	SERIAL_LSR,
	SERIAL_MSR,
	SERIAL_SCR
};
#define SERIAL_FCR SERIAL_IIR /* the same offset, written */

#define IER_RX     0x01u
#define IER_THRE   0x02u
#define IER_LINE   0x04u
#define IER_MODEM  0x08u
#define IER_MASK   0x0fu
#define IIR_NONE   0x01u
#define IIR_MODEM  0x00u
#define IIR_THRE   0x02u
#define IIR_RX     0x04u
#define IIR_LINE   0x06u
#define IIR_IDLE   0x0cu /* bytes below the trigger level and the line silent */
#define IIR_FIFO   0xc0u
#define FCR_ENABLE 0x01u
#define FCR_RX_CLR 0x02u
#define FCR_KEPT   0xc1u /* enable and trigger level; the rest acts once */
#define LCR_DLAB   0x80u
#define MCR_DTR    0x01u
#define MCR_RTS    0x02u
#define MCR_OUT1   0x04u
#define MCR_OUT2   0x08u
#define MCR_LOOP   0x10u
#define MCR_MASK   0x1fu
#define LSR_DATA   0x01u
#define LSR_OVER   0x02u
#define LSR_EMPTY  0x60u /* holding register and shifter: bytes leave at once */
#define MSR_CTS    0x10u
#define MSR_DSR    0x20u
#define MSR_RI     0x40u
#define MSR_DCD    0x80u
#define MSR_LINES  0xf0u
#define MSR_DELTAS 0x0fu

/* What is saved: everything but the wiring. */
struct serial_regs {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t msr;       /* lines in the upper half, what changed in the lower */
	bool overrun;      /* a byte was lost (loopback only: input waits instead) */
	bool thre_pending; /* the transmitter ran empty and nobody looked yet */
	uint8_t rx_n;
	uint8_t rx[SERIAL_FIFO]; /* oldest first */
};

struct serial {
	pthread_mutex_t lock;
	struct serial_regs r;
	bool line; /* the level last given to irq.set */
	struct dev_irq irq;
	void (*tx)(void *arg, const uint8_t *p, size_t n);
	void *arg;
};

static const struct serial_regs serial_power_on = {
	.msr = MSR_CTS | MSR_DSR | MSR_DCD, /* somebody is always there */
	.dll = 0x0c,                        /* 9600 baud */
};

static unsigned serial_depth(const struct serial_regs *r)
{
	return r->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

static unsigned serial_trigger(const struct serial_regs *r)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return r->fcr & FCR_ENABLE ? level[r->fcr >> 6] : 1;
}

/* The most urgent enabled interrupt, as IIR shows it (PC16550D, table 5). */
static uint8_t serial_iir(const struct serial_regs *r)
{
	if ((r->ier & IER_LINE) && r->overrun)
		return IIR_LINE;
	if ((r->ier & IER_RX) && r->rx_n >= serial_trigger(r))
		return IIR_RX;
	/* Four character times pass in no time here: what lies in the FIFO has been waiting. */
	if ((r->ier & IER_RX) && r->rx_n)
		return IIR_IDLE;
	if ((r->ier & IER_THRE) && r->thre_pending)
		return IIR_THRE;
	if ((r->ier & IER_MODEM) && (r->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

static bool serial_wants_line(const struct serial_regs *r)
{
	return serial_iir(r) != IIR_NONE && (r->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
}

/* Under the lock, so that two threads cannot give the line two levels in the wrong order. */
static void serial_update(struct serial *s)
{
	bool want = serial_wants_line(&s->r);

	if (want != s->line) {
		s->line = want;
		s->irq.set(s->irq.arg, want);
	}
}

static uint8_t serial_pop(struct serial_regs *r)
{
	uint8_t v = r->rx[0];

	if (r->rx_n == 0)
		return 0;
	r->rx_n--;
	memmove(r->rx, r->rx + 1, r->rx_n);
	return v;
}

/* The modem lines: the far end's, or in loopback our own outputs (PC16550D, 8.6.4). */
static void serial_set_mcr(struct serial_regs *r, uint8_t mcr)
{
	uint8_t old = r->msr & MSR_LINES, now = MSR_CTS | MSR_DSR | MSR_DCD;
	uint8_t changed, delta = 0;

	r->mcr = mcr & MCR_MASK;
	if (mcr & MCR_LOOP) {
		now = (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
				(mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
	}
	changed = old ^ now;
	delta = (uint8_t)(changed >> 4);
	/* Of the ring indicator only the trailing edge counts. */
	if (now & MSR_RI)
		delta &= (uint8_t) ~(MSR_RI >> 4);
	r->msr = (uint8_t)(now | (r->msr & MSR_DELTAS) | delta);
}

static void serial_set_fcr(struct serial_regs *r, uint8_t v)
{
	/* Switching the FIFOs on or off empties them; the other bits need the enable bit. */
	if (((v ^ r->fcr) & FCR_ENABLE) || ((v & FCR_ENABLE) && (v & FCR_RX_CLR)))
		r->rx_n = 0;
	r->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
}

static void serial_set_ier(struct serial_regs *r, uint8_t v)
{
	/* Enabling THRE while the transmitter is empty interrupts, each time: drivers test it. */
	if ((v & IER_THRE) && !(r->ier & IER_THRE))
		r->thre_pending = true;
	r->ier = v & IER_MASK;
}

/* A byte into the transmitter. True if it leaves the UART. */
static bool serial_transmit(struct serial_regs *r, uint8_t v)
{
	r->thre_pending = true;
	if (!(r->mcr & MCR_LOOP))
		return true;
	if (r->rx_n == serial_depth(r))
		r->overrun = true;
	else
		r->rx[r->rx_n++] = v;
	return false;
}

/* One register write. True if @v goes out on the line. */
static bool serial_write_reg(struct serial_regs *r, unsigned reg, uint8_t v)
{
	bool dlab = r->lcr & LCR_DLAB;

	switch (reg) {
	case SERIAL_DATA:
		if (!dlab)
			return serial_transmit(r, v);
		r->dll = v;
		break;
	case SERIAL_IER:
		if (dlab)
			r->dlm = v;
		else
			serial_set_ier(r, v);
		break;
	case SERIAL_FCR: serial_set_fcr(r, v); break;
	case SERIAL_LCR: r->lcr = v; break;
	case SERIAL_MCR: serial_set_mcr(r, v); break;
	case SERIAL_SCR: r->scr = v; break;
	default: break; /* LSR and MSR are the chip's */
	}
	return false;
}

static uint8_t serial_read_iir(struct serial_regs *r)
{
	uint8_t v = serial_iir(r);

	if (v == IIR_THRE)
		r->thre_pending = false;
	return v | (r->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t serial_read_reg(struct serial_regs *r, unsigned reg)
{
	bool dlab = r->lcr & LCR_DLAB;
	uint8_t v;

	switch (reg) {
	case SERIAL_DATA: return dlab ? r->dll : serial_pop(r);
	case SERIAL_IER: return dlab ? r->dlm : r->ier;
	case SERIAL_IIR: return serial_read_iir(r);
	case SERIAL_LCR: return r->lcr;
	case SERIAL_MCR: return r->mcr;
	case SERIAL_LSR:
		v = (uint8_t)(LSR_EMPTY | (r->rx_n ? LSR_DATA : 0) | (r->overrun ? LSR_OVER : 0));
		r->overrun = false;
		return v;
	case SERIAL_MSR:
		v = r->msr;
		r->msr &= MSR_LINES;
		return v;
	default: return r->scr;
	}
}

/* Registers are a byte wide: a wider access is one after the other, as on the ISA bus. */
static uint64_t serial_read(void *dev, uint64_t off, unsigned size)
{
	struct serial *s = dev;
	uint64_t v = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)serial_read_reg(&s->r, (unsigned)off + i) << (8 * i);
	serial_update(s);
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void serial_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct serial *s = dev;
	bool out = false;
	uint8_t data = (uint8_t)val;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < size; i++)
		out |= serial_write_reg(&s->r, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
	serial_update(s);
	pthread_mutex_unlock(&s->lock);
	/* Only offset 0 transmits, so at most one byte leaves, the lowest of the access. */
	if (out && s->tx)
		s->tx(s->arg, &data, 1);
}

size_t serial_input(struct serial *s, const void *p, size_t n)
{
	size_t room;

	pthread_mutex_lock(&s->lock);
	/* In loopback the receiver is cut off from the line: let the bytes wait outside. */
	room = s->r.mcr & MCR_LOOP ? 0 : serial_depth(&s->r) - s->r.rx_n;
	if (n > room)
		n = room;
	if (n) {
		memcpy(s->r.rx + s->r.rx_n, p, n);
		s->r.rx_n = (uint8_t)(s->r.rx_n + n);
		serial_update(s);
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void serial_reset(void *self)
{
	struct serial *s = self;

	pthread_mutex_lock(&s->lock);
	s->r = serial_power_on;
	s->line = false;
	s->irq.set(s->irq.arg, 0);
	pthread_mutex_unlock(&s->lock);
}

static void serial_save(void *self, struct wbuf *w)
{
	struct serial *s = self;
	const struct serial_regs *r = &s->r;

	pthread_mutex_lock(&s->lock);
	wbuf_u8(w, r->ier);
	wbuf_u8(w, r->fcr);
	wbuf_u8(w, r->lcr);
	wbuf_u8(w, r->mcr);
	wbuf_u8(w, r->scr);
	wbuf_u8(w, r->dll);
	wbuf_u8(w, r->dlm);
	wbuf_u8(w, r->msr);
	wbuf_u8(w, r->overrun);
	wbuf_u8(w, r->thre_pending);
	wbuf_u8(w, r->rx_n);
	wbuf_bytes(w, r->rx, r->rx_n);
	pthread_mutex_unlock(&s->lock);
}

static int serial_check(const struct serial_regs *r, uint8_t overrun, uint8_t thre, struct err *e)
{
	if (r->ier & ~IER_MASK)
		return err_set(e, -EPROTO, "serial: interrupt enable 0x%02x is impossible", r->ier);
	if ((r->fcr & ~FCR_KEPT) || (!(r->fcr & FCR_ENABLE) && r->fcr))
		return err_set(e, -EPROTO, "serial: FIFO control 0x%02x is impossible", r->fcr);
	if (r->mcr & ~MCR_MASK)
		return err_set(e, -EPROTO, "serial: modem control 0x%02x is impossible", r->mcr);
	if (overrun > 1 || thre > 1)
		return err_set(e, -EPROTO, "serial: a flag is neither 0 nor 1");
	if (r->rx_n > serial_depth(r))
		return err_set(
			e, -EPROTO, "serial: %u bytes in a FIFO of %u", r->rx_n, serial_depth(r));
	return 0;
}

static int serial_load(void *self, struct section *sec, struct err *e)
{
	struct serial *s = self;
	struct rbuf *b = &sec->body;
	struct serial_regs r = { 0 };
	uint8_t overrun, thre;
	int rc = section_version(sec, serial_dev_ops.version, e);

	if (rc)
		return rc;
	r.ier = rbuf_u8(b);
	r.fcr = rbuf_u8(b);
	r.lcr = rbuf_u8(b);
	r.mcr = rbuf_u8(b);
	r.scr = rbuf_u8(b);
	r.dll = rbuf_u8(b);
	r.dlm = rbuf_u8(b);
	r.msr = rbuf_u8(b);
	overrun = rbuf_u8(b);
	thre = rbuf_u8(b);
	r.rx_n = rbuf_u8(b);
	rc = serial_check(&r, overrun, thre, e);
	if (rc)
		return rc;
	rbuf_copy(b, r.rx, r.rx_n);
	rc = section_done(sec, e);
	if (rc)
		return rc;
	r.overrun = overrun;
	r.thre_pending = thre;
	pthread_mutex_lock(&s->lock);
	s->r = r;
	/* The level is told even if it seems unchanged: the controller behind it is a new one. */
	s->line = serial_wants_line(&s->r);
	s->irq.set(s->irq.arg, s->line);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void serial_free(void *self)
{
	struct serial *s = self;

	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct dev_ops serial_dev_ops = {
	.name = "serial",
	.version = 1,
	.reset = serial_reset,
	.save = serial_save,
	.load = serial_load,
	.free = serial_free,
};

int serial_new(struct serial **out, struct bus *pio, uint16_t port, struct dev_irq irq,
	void (*tx)(void *arg, const uint8_t *p, size_t n), void *arg, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "no memory for a serial port");
	pthread_mutex_init(&s->lock, NULL);
	s->r = serial_power_on;
	s->irq = irq;
	s->tx = tx;
	s->arg = arg;
	rc = bus_add(pio,
		&(struct bus_range){ .base = port,
			.len = SERIAL_PORTS,
			.read = serial_read,
			.write = serial_write,
			.dev = s },
		e);
	if (rc) {
		serial_free(s);
		return rc;
	}
	*out = s;
	return 0;
}
