/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the encoding of AML (see aml.h). Lengths are always written in the two-byte form, so that
 * they can be filled in when the object is closed without moving what it holds.
 * Next in the flow: acpi.c.
 */
#include "hv/boot/aml.h"

#include <stdlib.h>
#include <string.h>

enum {
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_RES_IRQ = 0x22,
	AML_RES_IO = 0x47,
	AML_RES_END = 0x79,
	AML_RES_MEM_FIXED = 0x86,
	AML_RES_DWORD = 0x87,
	AML_RES_WORD = 0x88,
};

/* Address space descriptors (6.4.3.5): kinds, and "both ends are fixed, passed on". */
enum { AML_SPACE_MEMORY = 0, AML_SPACE_IO = 1, AML_SPACE_BUS = 2, AML_SPACE_FIXED = 0x0c };
enum {
	AML_IO_ALL = 0x03, /* ISA and other ports */
	AML_MEM_RW = 0x01, /* not cacheable */
};

#define AML_LENGTH_MAX 0xfffu /* two-byte form: 12 bits */

static size_t aml_open(struct wbuf *w)
{
	size_t at = w->len;

	wbuf_u16(w, 0);
	return at;
}

void aml_end(struct wbuf *w, size_t at)
{
	size_t n = w->len - at; /* the length counts its own bytes */

	if (w->failed)
		return;
	if (n > AML_LENGTH_MAX) {
		w->failed = true;
		return;
	}
	w->data[at] = (uint8_t)(0x40 | (n & 0xf)); /* one more byte follows, which holds the rest */
	w->data[at + 1] = (uint8_t)(n >> 4);
}

static void aml_path(struct wbuf *w, const char *path)
{
	wbuf_bytes(w, path, strlen(path));
}

size_t aml_scope(struct wbuf *w, const char *path)
{
	size_t at;

	wbuf_u8(w, AML_SCOPE);
	at = aml_open(w);
	aml_path(w, path);
	return at;
}

size_t aml_device(struct wbuf *w, const char *name)
{
	size_t at;

	wbuf_u8(w, AML_EXT);
	wbuf_u8(w, AML_EXT_DEVICE);
	at = aml_open(w);
	aml_path(w, name);
	return at;
}

size_t aml_package(struct wbuf *w, uint8_t n)
{
	size_t at;

	wbuf_u8(w, AML_PACKAGE);
	at = aml_open(w);
	wbuf_u8(w, n);
	return at;
}

void aml_name(struct wbuf *w, const char *path)
{
	wbuf_u8(w, AML_NAME);
	aml_path(w, path);
}

void aml_int(struct wbuf *w, uint32_t v)
{
	if (v <= 1) {
		wbuf_u8(w, (uint8_t)v); /* ZeroOp, OneOp */
	} else if (v <= 0xff) {
		wbuf_u8(w, AML_BYTE);
		wbuf_u8(w, (uint8_t)v);
	} else if (v <= 0xffff) {
		wbuf_u8(w, AML_WORD);
		wbuf_u16(w, (uint16_t)v);
	} else {
		wbuf_u8(w, AML_DWORD);
		wbuf_u32(w, v);
	}
}

void aml_string(struct wbuf *w, const char *s)
{
	wbuf_u8(w, AML_STRING);
	wbuf_bytes(w, s, strlen(s) + 1);
}

void aml_eisaid(struct wbuf *w, const char *id)
{
	/* Three letters of five bits, then the number, all most significant byte first. */
	unsigned name = (unsigned)(id[0] - '@') << 10 | (unsigned)(id[1] - '@') << 5 |
			(unsigned)(id[2] - '@');
	unsigned number = (unsigned)strtoul(id + 3, NULL, 16);

	wbuf_u8(w, AML_DWORD);
	wbuf_u8(w, (uint8_t)(name >> 8));
	wbuf_u8(w, (uint8_t)name);
	wbuf_u8(w, (uint8_t)(number >> 8));
	wbuf_u8(w, (uint8_t)number);
}

size_t aml_resources(struct wbuf *w)
{
	size_t at;

	wbuf_u8(w, AML_BUFFER);
	at = aml_open(w);
	wbuf_u8(w, AML_WORD); /* the buffer's own size, filled in at the end */
	wbuf_u16(w, 0);
	return at;
}

void aml_resources_end(struct wbuf *w, size_t at)
{
	size_t start = at + 2 + 3, n; /* behind the package length and the buffer size */

	wbuf_u8(w, AML_RES_END);
	wbuf_u8(w, 0); /* checksum: 0 is "taken as correct" */
	aml_end(w, at);
	if (w->failed)
		return;
	n = w->len - start;
	w->data[start - 2] = (uint8_t)n;
	w->data[start - 1] = (uint8_t)(n >> 8);
}

void aml_io(struct wbuf *w, uint16_t port, uint8_t len)
{
	wbuf_u8(w, AML_RES_IO);
	wbuf_u8(w, 1); /* decodes 16 bits */
	wbuf_u16(w, port);
	wbuf_u16(w, port);
	wbuf_u8(w, 1);
	wbuf_u8(w, len);
}

void aml_irq(struct wbuf *w, unsigned line)
{
	wbuf_u8(w, AML_RES_IRQ);
	wbuf_u16(w, (uint16_t)(1u << line));
}

void aml_memory_fixed(struct wbuf *w, uint32_t addr, uint32_t len)
{
	wbuf_u8(w, AML_RES_MEM_FIXED);
	wbuf_u16(w, 9);
	wbuf_u8(w, AML_MEM_RW);
	wbuf_u32(w, addr);
	wbuf_u32(w, len);
}

static void aml_window_word(
	struct wbuf *w, uint8_t space, uint8_t flags, uint16_t first, uint16_t last)
{
	wbuf_u8(w, AML_RES_WORD);
	wbuf_u16(w, 13);
	wbuf_u8(w, space);
	wbuf_u8(w, AML_SPACE_FIXED);
	wbuf_u8(w, flags);
	wbuf_u16(w, 0); /* granularity */
	wbuf_u16(w, first);
	wbuf_u16(w, last);
	wbuf_u16(w, 0); /* no translation */
	wbuf_u16(w, (uint16_t)(last - first + 1));
}

void aml_window_bus(struct wbuf *w, uint16_t first, uint16_t last)
{
	aml_window_word(w, AML_SPACE_BUS, 0, first, last);
}

void aml_window_io(struct wbuf *w, uint16_t first, uint16_t last)
{
	aml_window_word(w, AML_SPACE_IO, AML_IO_ALL, first, last);
}

void aml_window_memory(struct wbuf *w, uint32_t first, uint32_t last)
{
	wbuf_u8(w, AML_RES_DWORD);
	wbuf_u16(w, 23);
	wbuf_u8(w, AML_SPACE_MEMORY);
	wbuf_u8(w, AML_SPACE_FIXED);
	wbuf_u8(w, AML_MEM_RW);
	wbuf_u32(w, 0);
	wbuf_u32(w, first);
	wbuf_u32(w, last);
	wbuf_u32(w, 0);
	wbuf_u32(w, last - first + 1);
}
