/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one encoder and the one decoder of everything that leaves the process in binary: wire
 * messages and saved state. Little-endian, no padding, no C struct ever.
 * Invariant: a decoder never reads past its end and never trusts a length before checking it
 * against what is left; after the first failure every read gives zero and `failed` stays true, so
 * a caller checks once, at the end.
 * Next in the flow: hv/migrate/wire.h (messages), hv/base/section.h (saved state).
 */
#ifndef WATARI_BASE_CODEC_H
#define WATARI_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing buffer. Owned by one thread. */
struct wbuf {
	uint8_t *data;
	size_t len, cap;
	bool failed; /* memory ran out; data up to len is still valid */
};

void wbuf_init(struct wbuf *w);
void wbuf_fini(struct wbuf *w);  /* frees; @w may be initialised again */
void wbuf_reset(struct wbuf *w); /* forgets the content, keeps the memory */
/* Grows the buffer to @cap bytes ahead of time, e.g. before a freeze. 0 or -ENOMEM. */
int wbuf_reserve(struct wbuf *w, size_t cap);

void wbuf_u8(struct wbuf *w, uint8_t v);
void wbuf_u16(struct wbuf *w, uint16_t v);
void wbuf_u32(struct wbuf *w, uint32_t v);
void wbuf_u64(struct wbuf *w, uint64_t v);
void wbuf_bytes(struct wbuf *w, const void *p, size_t n);
/* u16 length, then the bytes without a NUL. Strings longer than 65535 bytes set `failed`. */
void wbuf_str(struct wbuf *w, const char *s);
/* Overwrites four bytes at @at, which must have been written before. */
void wbuf_patch_u32(struct wbuf *w, size_t at, uint32_t v);

/* A view of bytes owned by somebody else. */
struct rbuf {
	const uint8_t *p, *end;
	bool failed;
};

struct rbuf rbuf_of(const void *p, size_t n);
static inline size_t rbuf_left(const struct rbuf *r)
{
	return (size_t)(r->end - r->p);
}
uint8_t rbuf_u8(struct rbuf *r);
uint16_t rbuf_u16(struct rbuf *r);
uint32_t rbuf_u32(struct rbuf *r);
uint64_t rbuf_u64(struct rbuf *r);
/* The next @n bytes in place, or NULL (and failed) if fewer are left. */
const void *rbuf_bytes(struct rbuf *r, size_t n);
/* Copies the next @n bytes to @dst; zero-fills @dst on failure. */
void rbuf_copy(struct rbuf *r, void *dst, size_t n);
/*
 * Reads a wbuf_str() into @dst of @size bytes (at least 1), always NUL-terminated. A string that
 * does not fit, or holds a NUL or another control character, fails.
 */
void rbuf_str(struct rbuf *r, char *dst, size_t size);
/* True if nothing failed and nothing is left. */
bool rbuf_done(const struct rbuf *r);

#endif
