/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns byte order and bounds (see codec.h). Must never abort: out of memory and short input are
 * both remembered in `failed`.
 * Next in the flow: section.c.
 */
#include "hv/base/codec.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wbuf_init(struct wbuf *w)
{
	memset(w, 0, sizeof(*w));
}

void wbuf_fini(struct wbuf *w)
{
	free(w->data);
	wbuf_init(w);
}

void wbuf_reset(struct wbuf *w)
{
	w->len = 0;
	w->failed = false;
}

int wbuf_reserve(struct wbuf *w, size_t cap)
{
	uint8_t *p;

	if (cap <= w->cap)
		return 0;
	p = realloc(w->data, cap);
	if (!p) {
		w->failed = true;
		return -ENOMEM;
	}
	w->data = p;
	w->cap = cap;
	return 0;
}

void wbuf_bytes(struct wbuf *w, const void *p, size_t n)
{
	if (w->failed || n == 0)
		return;
	if (w->cap - w->len < n) {
		size_t want = w->cap ? w->cap * 2 : 256;

		while (want - w->len < n)
			want *= 2;
		if (wbuf_reserve(w, want))
			return;
	}
	memcpy(w->data + w->len, p, n);
	w->len += n;
}

void wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_bytes(w, &v, 1);
}

void wbuf_u16(struct wbuf *w, uint16_t v)
{
	v = htole16(v);
	wbuf_bytes(w, &v, sizeof(v));
}

void wbuf_u32(struct wbuf *w, uint32_t v)
{
	v = htole32(v);
	wbuf_bytes(w, &v, sizeof(v));
}

void wbuf_u64(struct wbuf *w, uint64_t v)
{
	v = htole64(v);
	wbuf_bytes(w, &v, sizeof(v));
}

void wbuf_str(struct wbuf *w, const char *s)
{
	size_t n = strlen(s);

	if (n > UINT16_MAX) {
		w->failed = true;
		return;
	}
	wbuf_u16(w, (uint16_t)n);
	wbuf_bytes(w, s, n);
}

void wbuf_patch_u32(struct wbuf *w, size_t at, uint32_t v)
{
	if (w->failed)
		return;
	v = htole32(v);
	memcpy(w->data + at, &v, sizeof(v));
}

struct rbuf rbuf_of(const void *p, size_t n)
{
	return (struct rbuf){ .p = p, .end = (const uint8_t *)p + n };
}

const void *rbuf_bytes(struct rbuf *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || rbuf_left(r) < n) {
		r->failed = true;
		return NULL;
	}
	r->p += n;
	return p;
}

void rbuf_copy(struct rbuf *r, void *dst, size_t n)
{
	const void *p = rbuf_bytes(r, n);

	if (p && n)
		memcpy(dst, p, n);
	else if (n)
		memset(dst, 0, n);
}

uint8_t rbuf_u8(struct rbuf *r)
{
	uint8_t v;

	rbuf_copy(r, &v, sizeof(v));
	return v;
}

uint16_t rbuf_u16(struct rbuf *r)
{
	uint16_t v;

	rbuf_copy(r, &v, sizeof(v));
	return le16toh(v);
}

uint32_t rbuf_u32(struct rbuf *r)
{
	uint32_t v;

	rbuf_copy(r, &v, sizeof(v));
	return le32toh(v);
}

uint64_t rbuf_u64(struct rbuf *r)
{
	uint64_t v;

	rbuf_copy(r, &v, sizeof(v));
	return le64toh(v);
}

void rbuf_str(struct rbuf *r, char *dst, size_t size)
{
	size_t n = rbuf_u16(r);
	const char *p = rbuf_bytes(r, n);

	dst[0] = '\0';
	if (!p)
		return;
	if (n >= size) {
		r->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f) {
			r->failed = true;
			return;
		}
	}
	memcpy(dst, p, n);
	dst[n] = '\0';
}

bool rbuf_done(const struct rbuf *r)
{
	return !r->failed && r->p == r->end;
}
