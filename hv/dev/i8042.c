/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a keyboard controller without keyboard (see i8042.h). Must never leave a command that
 * promises an answer without one: drivers poll half a second for each.
 * Invariant: at most one byte waits in the output buffer; a newer one replaces it.
 * Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/i8042.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "hv/base/machine.h"

#define I8042_STATUS_OUT      0x01u /* output buffer full */
#define I8042_STATUS_SYS      0x04u /* self test passed: a copy of bit 2 of the command byte */
#define I8042_STATUS_CMD      0x08u /* the last write was a command */
#define I8042_STATUS_UNLOCKED 0x10u /* no key lock */
#define I8042_CTR_SYS         0x04u
#define I8042_CTR_KBD_OFF     0x10u
#define I8042_CTR_AUX_OFF     0x20u
#define I8042_CTR_START       0x74u /* translating, both interfaces off, tested */
#define I8042_CTR_MASK        0x7fu
#define I8042_OUT_RESET       0x01u /* output port: low resets the CPU */
#define I8042_OUT_A20         0x02u
#define I8042_OUT_START       (I8042_OUT_RESET | I8042_OUT_A20)

enum i8042_cmd {
	I8042_READ_CTR = 0x20,
	I8042_WRITE_CTR = 0x60,
	I8042_AUX_DISABLE = 0xa7,
	I8042_AUX_ENABLE = 0xa8,
	I8042_AUX_TEST = 0xa9,
	I8042_SELF_TEST = 0xaa,
	I8042_KBD_TEST = 0xab,
	I8042_KBD_DISABLE = 0xad,
	I8042_KBD_ENABLE = 0xae,
	I8042_READ_IN = 0xc0,
	I8042_READ_OUT = 0xd0,
	I8042_WRITE_OUT = 0xd1,
	I8042_WRITE_OBUF = 0xd2,
	I8042_AUX_LOOP = 0xd3,
	I8042_WRITE_AUX = 0xd4,
	I8042_A20_OFF = 0xdd,
	I8042_A20_ON = 0xdf,
	I8042_PULSE = 0xf0, /* and up: low bits that are 0 are pulsed */
};

struct i8042 {
	uint8_t ctr, outport;
	uint8_t pending; /* a command that waits for its data byte, or 0 */
	bool last_cmd;   /* the last write went to the command port */
	bool full;
	uint8_t data;
	uint8_t ram[32]; /* command 0x20+n reads, 0x60+n writes; byte 0 is ctr */
	void (*reset)(void *arg);
	void *arg;
};

static void i8042_answer(struct i8042 *k, uint8_t v)
{
	k->data = v;
	k->full = true;
}

static uint8_t i8042_status(const struct i8042 *k)
{
	return (uint8_t)(I8042_STATUS_UNLOCKED | (k->full ? I8042_STATUS_OUT : 0) |
			 (k->last_cmd ? I8042_STATUS_CMD : 0) |
			 (k->ctr & I8042_CTR_SYS ? I8042_STATUS_SYS : 0));
}

static void i8042_set_outport(struct i8042 *k, uint8_t v)
{
	k->outport = v | I8042_OUT_RESET;
	if (!(v & I8042_OUT_RESET))
		k->reset(k->arg);
}

static void i8042_command(struct i8042 *k, uint8_t cmd)
{
	k->pending = 0;
	if ((cmd & 0xe0) == I8042_READ_CTR) {
		i8042_answer(k, cmd == I8042_READ_CTR ? k->ctr : k->ram[cmd & 0x1f]);
		return;
	}
	if ((cmd & 0xe0) == I8042_WRITE_CTR) {
		k->pending = cmd;
		return;
	}
	if (cmd >= I8042_PULSE) {
		if (!(cmd & I8042_OUT_RESET))
			k->reset(k->arg);
		return;
	}
	switch (cmd) {
	case I8042_AUX_DISABLE: k->ctr |= I8042_CTR_AUX_OFF; break;
	case I8042_AUX_ENABLE: k->ctr &= (uint8_t)~I8042_CTR_AUX_OFF; break;
	case I8042_KBD_DISABLE: k->ctr |= I8042_CTR_KBD_OFF; break;
	case I8042_KBD_ENABLE: k->ctr &= (uint8_t)~I8042_CTR_KBD_OFF; break;
	case I8042_AUX_TEST: i8042_answer(k, 0x01); break; /* clock line stuck: no such port */
	case I8042_KBD_TEST: i8042_answer(k, 0x00); break;
	case I8042_SELF_TEST:
		k->ctr |= I8042_CTR_SYS;
		i8042_answer(k, 0x55);
		break;
	case I8042_READ_IN: i8042_answer(k, 0x80); break; /* not locked */
	case I8042_READ_OUT: i8042_answer(k, (uint8_t)(k->outport | (k->full ? 0x10 : 0))); break;
	case I8042_WRITE_OUT:
	case I8042_WRITE_OBUF:
	case I8042_AUX_LOOP:
	case I8042_WRITE_AUX: k->pending = cmd; break;
	case I8042_A20_OFF: k->outport &= (uint8_t)~I8042_OUT_A20; break;
	case I8042_A20_ON: k->outport |= I8042_OUT_A20; break;
	default: break; /* a real controller ignores what it does not know */
	}
}

static void i8042_data(struct i8042 *k, uint8_t v)
{
	uint8_t cmd = k->pending;

	k->pending = 0;
	if (cmd == I8042_WRITE_CTR)
		k->ctr = v & I8042_CTR_MASK;
	else if ((cmd & 0xe0) == I8042_WRITE_CTR)
		k->ram[cmd & 0x1f] = v;
	else if (cmd == I8042_WRITE_OUT)
		i8042_set_outport(k, v);
	else if (cmd == I8042_WRITE_OBUF || cmd == I8042_AUX_LOOP)
		/* Looped back as from the keyboard: that is how a missing mouse port shows. */
		i8042_answer(k, v);
	/* Anything else was for a keyboard or mouse that is not there: silence. */
}

static uint64_t i8042_read(void *dev, uint64_t off, unsigned size)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	k->full = false;
	return k->data;
}

static void i8042_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	k->last_cmd = false;
	i8042_data(k, (uint8_t)val);
}

static uint64_t i8042_read_status(void *dev, uint64_t off, unsigned size)
{
	(void)off;
	(void)size;
	return i8042_status(dev);
}

static void i8042_write_command(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042 *k = dev;

	(void)off;
	(void)size;
	k->last_cmd = true;
	i8042_command(k, (uint8_t)val);
}

static void i8042_reset(void *self)
{
	struct i8042 *k = self;

	*k = (struct i8042){
		.ctr = I8042_CTR_START, .outport = I8042_OUT_START, .reset = k->reset, .arg = k->arg
	};
}

static void i8042_save(void *self, struct wbuf *w)
{
	const struct i8042 *k = self;

	wbuf_u8(w, k->ctr);
	wbuf_u8(w, k->outport);
	wbuf_u8(w, k->pending);
	wbuf_u8(w, k->last_cmd);
	wbuf_u8(w, k->full);
	wbuf_u8(w, k->data);
	wbuf_bytes(w, k->ram, sizeof(k->ram));
}

static int i8042_load(void *self, struct section *s, struct err *e)
{
	struct i8042 *k = self;
	struct i8042 n = { .reset = k->reset, .arg = k->arg };
	uint8_t last_cmd, full;
	int rc = section_version(s, i8042_dev_ops.version, e);

	if (rc)
		return rc;
	n.ctr = rbuf_u8(&s->body);
	n.outport = rbuf_u8(&s->body);
	n.pending = rbuf_u8(&s->body);
	last_cmd = rbuf_u8(&s->body);
	full = rbuf_u8(&s->body);
	n.data = rbuf_u8(&s->body);
	rbuf_copy(&s->body, n.ram, sizeof(n.ram));
	rc = section_done(s, e);
	if (rc)
		return rc;
	if ((n.ctr & ~I8042_CTR_MASK) || !(n.outport & I8042_OUT_RESET) || last_cmd > 1 || full > 1)
		return err_set(e, -EPROTO,
			"i8042: command byte 0x%02x, output port 0x%02x or a flag is impossible",
			n.ctr, n.outport);
	n.last_cmd = last_cmd;
	n.full = full;
	*k = n;
	return 0;
}

static void i8042_free(void *self)
{
	free(self);
}

const struct dev_ops i8042_dev_ops = {
	.name = "i8042",
	.version = 1,
	.reset = i8042_reset,
	.save = i8042_save,
	.load = i8042_load,
	.free = i8042_free,
};

int i8042_new(
	struct i8042 **out, struct bus *pio, void (*reset)(void *arg), void *arg, struct err *e)
{
	struct i8042 *k = calloc(1, sizeof(*k));
	struct bus_range data = {
		.base = MACHINE_PORT_I8042_DATA,
		.len = 1,
		.read = i8042_read,
		.write = i8042_write,
		.dev = k,
	};
	struct bus_range cmd = {
		.base = MACHINE_PORT_I8042_CMD,
		.len = 1,
		.read = i8042_read_status,
		.write = i8042_write_command,
		.dev = k,
	};
	int rc;

	if (!k)
		return err_set(e, -ENOMEM, "no memory for the keyboard controller");
	k->reset = reset;
	k->arg = arg;
	i8042_reset(k);
	rc = bus_add(pio, &data, e);
	if (!rc)
		rc = bus_add(pio, &cmd, e);
	if (rc) {
		/* A machine that could not be built is thrown away with its bus. */
		free(k);
		return rc;
	}
	*out = k;
	return 0;
}
