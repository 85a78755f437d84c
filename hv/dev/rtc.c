/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the clock and memory of an MC146818 (see rtc.h). Must never store the time itself, only its
 * distance from the host's: a guest that slept through a move wakes to the right hour.
 * Invariant: `index` is below RTC_BYTES; the clock's bytes are computed on reading, and taken from
 * `cmos` only while register B's SET bit stops the clock.
 * Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/rtc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "hv/base/clock.h"
#include "hv/base/machine.h"

#define RTC_BYTES 128u

enum {
	RTC_SEC = 0,
	RTC_MIN = 2,
	RTC_HOUR = 4,
	RTC_WDAY = 6,
	RTC_MDAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11,
	RTC_C = 12,
	RTC_D = 13,
	RTC_CENTURY = 0x32,
};

#define RTC_A_MASK  0x7fu /* bit 7, update in progress, never shows: reading is atomic */
#define RTC_A_START 0x26u /* 32768 Hz, 1024 Hz */
#define RTC_B_SET   0x80u /* the clock stands still while the guest sets it */
#define RTC_B_BIN   0x04u
#define RTC_B_24H   0x02u
#define RTC_D_VALID 0x80u /* the battery is good */
#define RTC_PM      0x80u /* afternoon, in 12-hour mode */

/* Offsets beyond this (about 200 years) are nonsense, from a guest or from saved state. */
#define RTC_OFFSET_MAX (200ll * 366 * 86400)

struct rtc {
	int64_t offset; /* seconds: guest's time minus the host's */
	uint8_t index;
	/* Registers A and B, alarm bytes, memory; the clock's bytes only while the guest sets it.
	 */
	uint8_t cmos[RTC_BYTES];
};

static bool rtc_setting(const struct rtc *r)
{
	return r->cmos[RTC_B] & RTC_B_SET;
}

static uint8_t rtc_encode(const struct rtc *r, int v)
{
	if (r->cmos[RTC_B] & RTC_B_BIN)
		return (uint8_t)v;
	return (uint8_t)(v / 10 * 16 + v % 10);
}

static int rtc_decode(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_B] & RTC_B_BIN)
		return v;
	return (v >> 4) * 10 + (v & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *r, int h)
{
	if (r->cmos[RTC_B] & RTC_B_24H)
		return rtc_encode(r, h);
	/* 12, 1, 2 ... 11, and the same again after noon. */
	return (uint8_t)(rtc_encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? RTC_PM : 0));
}

static int rtc_decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_B] & RTC_B_24H)
		return rtc_decode(r, v);
	return rtc_decode(r, v & (uint8_t)~RTC_PM) % 12 + (v & RTC_PM ? 12 : 0);
}

/* The guest's time now, broken down. False beyond what four digits of year can say. */
static bool rtc_fields(const struct rtc *r, struct tm *tm)
{
	time_t t = (time_t)((int64_t)(clock_real_ns() / NSEC_PER_SEC) + r->offset);

	return gmtime_r(&t, tm) && tm->tm_year >= -1900 && tm->tm_year < 8100;
}

static bool rtc_is_clock(unsigned i)
{
	return i == RTC_SEC || i == RTC_MIN || i == RTC_HOUR || (i >= RTC_WDAY && i <= RTC_YEAR) ||
	       i == RTC_CENTURY;
}

/* Writes the running time into the clock's bytes of @cmos, in the mode that register B asks for. */
static void rtc_latch(const struct rtc *r, uint8_t *cmos)
{
	struct tm tm;

	if (!rtc_fields(r, &tm))
		return;
	cmos[RTC_SEC] = rtc_encode(r, tm.tm_sec);
	cmos[RTC_MIN] = rtc_encode(r, tm.tm_min);
	cmos[RTC_HOUR] = rtc_encode_hour(r, tm.tm_hour);
	cmos[RTC_WDAY] = rtc_encode(r, tm.tm_wday + 1);
	cmos[RTC_MDAY] = rtc_encode(r, tm.tm_mday);
	cmos[RTC_MONTH] = rtc_encode(r, tm.tm_mon + 1);
	cmos[RTC_YEAR] = rtc_encode(r, (tm.tm_year + 1900) % 100);
	cmos[RTC_CENTURY] = rtc_encode(r, (tm.tm_year + 1900) / 100);
}

/* Makes the clock run on from what the clock's bytes of r->cmos say. */
static void rtc_start(struct rtc *r)
{
	const uint8_t *c = r->cmos;
	struct tm tm = {
		.tm_sec = rtc_decode(r, c[RTC_SEC]),
		.tm_min = rtc_decode(r, c[RTC_MIN]),
		.tm_hour = rtc_decode_hour(r, c[RTC_HOUR]),
		.tm_mday = rtc_decode(r, c[RTC_MDAY]),
		.tm_mon = rtc_decode(r, c[RTC_MONTH]) - 1,
		.tm_year = rtc_decode(r, c[RTC_CENTURY]) * 100 + rtc_decode(r, c[RTC_YEAR]) - 1900,
	};
	/* timegm() carries over what is out of range, so any bytes give some time. */
	int64_t offset = (int64_t)timegm(&tm) - (int64_t)(clock_real_ns() / NSEC_PER_SEC);

	if (offset <= RTC_OFFSET_MAX && offset >= -RTC_OFFSET_MAX)
		r->offset = offset;
}

static void rtc_write_clock(struct rtc *r, uint8_t v)
{
	/*
	 * While the clock stands, bytes are only kept: on the way from January 31 to February 15
	 * the date is impossible for a moment.
	 */
	if (!rtc_setting(r))
		rtc_latch(r, r->cmos);
	r->cmos[r->index] = v;
	if (!rtc_setting(r))
		rtc_start(r);
}

static void rtc_write_b(struct rtc *r, uint8_t v)
{
	bool was = rtc_setting(r);

	r->cmos[RTC_B] = v;
	if (!was && rtc_setting(r))
		rtc_latch(r, r->cmos);
	else if (was && !rtc_setting(r))
		rtc_start(r);
}

static uint8_t rtc_read_clock(const struct rtc *r)
{
	uint8_t now[RTC_BYTES] = { 0 };

	if (rtc_setting(r))
		return r->cmos[r->index];
	rtc_latch(r, now);
	return now[r->index];
}

static uint8_t rtc_read_data(const struct rtc *r)
{
	if (rtc_is_clock(r->index))
		return rtc_read_clock(r);
	if (r->index == RTC_C)
		return 0; /* no interrupt ever happened */
	return r->index == RTC_D ? RTC_D_VALID : r->cmos[r->index];
}

static void rtc_write_data(struct rtc *r, uint8_t v)
{
	if (rtc_is_clock(r->index))
		rtc_write_clock(r, v);
	else if (r->index == RTC_A)
		r->cmos[RTC_A] = v & RTC_A_MASK;
	else if (r->index == RTC_B)
		rtc_write_b(r, v);
	else if (r->index != RTC_C && r->index != RTC_D)
		r->cmos[r->index] = v;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
	struct rtc *r = dev;

	/* The index port is write-only on a PC; a wide access reads the data port above it. */
	if (off == 0)
		return size == 1 ? 0xff : 0xff | (uint64_t)rtc_read_data(r) << 8;
	return rtc_read_data(r);
}

static void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct rtc *r = dev;

	if (off == 0) {
		/* Bit 7 is the NMI mask of the PC, not part of the index. */
		r->index = (uint8_t)(val & (RTC_BYTES - 1));
		if (size > 1)
			rtc_write_data(r, (uint8_t)(val >> 8));
		return;
	}
	rtc_write_data(r, (uint8_t)val);
}

/* Little-endian bytes into the CMOS, saturated. */
static void rtc_put(struct rtc *r, unsigned at, unsigned n, uint64_t v)
{
	uint64_t max = (1ull << (8 * n)) - 1;

	if (v > max)
		v = max;
	for (unsigned i = 0; i < n; i++)
		r->cmos[at + i] = (uint8_t)(v >> (8 * i));
}

void rtc_set_memory(struct rtc *r, uint64_t low_bytes, uint64_t high_bytes)
{
	const uint64_t mib = 1ull << 20;
	uint64_t ext = low_bytes > mib ? (low_bytes - mib) >> 10 : 0;
	uint64_t above16 = low_bytes > 16 * mib ? (low_bytes - 16 * mib) >> 16 : 0;

	rtc_put(r, 0x15, 2, 640);              /* KiB of base memory */
	rtc_put(r, 0x17, 2, ext);              /* KiB above 1 MiB */
	rtc_put(r, 0x30, 2, ext);              /* the same, as the BIOS found it */
	rtc_put(r, 0x34, 2, above16);          /* 64 KiB units above 16 MiB */
	rtc_put(r, 0x5b, 3, high_bytes >> 16); /* 64 KiB units above 4 GiB */
}

/* Power-on of the machine, not of the battery: memory and time stay. */
static void rtc_reset(void *self)
{
	struct rtc *r = self;

	rtc_write_b(r, RTC_B_24H);
	r->index = 0;
	r->cmos[RTC_A] = RTC_A_START;
}

static void rtc_save(void *self, struct wbuf *w)
{
	const struct rtc *r = self;

	wbuf_u64(w, (uint64_t)r->offset);
	wbuf_u8(w, r->index);
	wbuf_bytes(w, r->cmos, RTC_BYTES);
}

static int rtc_load(void *self, struct section *s, struct err *e)
{
	struct rtc *r = self, n = { 0 };
	int rc = section_version(s, rtc_dev_ops.version, e);

	if (rc)
		return rc;
	n.offset = (int64_t)rbuf_u64(&s->body);
	n.index = rbuf_u8(&s->body);
	rbuf_copy(&s->body, n.cmos, RTC_BYTES);
	rc = section_done(s, e);
	if (rc)
		return rc;
	if (n.index >= RTC_BYTES || (n.cmos[RTC_A] & ~RTC_A_MASK))
		return err_set(e, -EPROTO, "rtc: index 0x%02x or register A 0x%02x is impossible",
			n.index, n.cmos[RTC_A]);
	if (n.offset > RTC_OFFSET_MAX || n.offset < -RTC_OFFSET_MAX)
		return err_set(e, -EPROTO, "rtc: the clock is centuries off");
	*r = n;
	return 0;
}

static void rtc_free(void *self)
{
	free(self);
}

const struct dev_ops rtc_dev_ops = {
	.name = "rtc",
	.version = 1,
	.reset = rtc_reset,
	.save = rtc_save,
	.load = rtc_load,
	.free = rtc_free,
};

int rtc_new(struct rtc **out, struct bus *pio, struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_set(e, -ENOMEM, "no memory for the real-time clock");
	r->cmos[RTC_A] = RTC_A_START;
	r->cmos[RTC_B] = RTC_B_24H;
	rc = bus_add(pio,
		&(struct bus_range){ .base = MACHINE_PORT_RTC,
			.len = 2,
			.read = rtc_read,
			.write = rtc_write,
			.dev = r },
		e);
	if (rc) {
		free(r);
		return rc;
	}
	*out = r;
	return 0;
}
