/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved state as a list of sections: name, instance, version, length, payload. A reader knows each
 * section by name, refuses a version newer than its own by name, and finds the next one by length,
 * never by understanding the payload. docs/state-format.md lists every section.
 *
 *   u16 name length | name | u32 instance | u32 version | u32 payload length | payload
 */
#ifndef WATARI_BASE_SECTION_H
#define WATARI_BASE_SECTION_H

#include "hv/base/codec.h"
#include "hv/base/err.h"

#define SECTION_NAME_MAX 32 /* bytes, NUL included */

struct section {
	char name[SECTION_NAME_MAX];
	uint32_t instance; /* e.g. the vCPU number; 0 for things there is one of */
	uint32_t version;  /* 1 and up */
	struct rbuf body;  /* points into the reader's bytes */
};

/* Opens a section in @w; returns the cookie for section_end(). Sections do not nest. */
size_t section_begin(struct wbuf *w, const char *name, uint32_t instance, uint32_t version);
void section_end(struct wbuf *w, size_t cookie);

/*
 * Takes the next section off @r. 1: one was read into @s; 0: @r is exhausted; -EPROTO with a
 * message: the bytes are no section list.
 */
int section_next(struct rbuf *r, struct section *s, struct err *e);

/* 0 if @s->version is 1..@known, else -EPROTO with a message that names section and versions. */
int section_version(const struct section *s, uint32_t known, struct err *e);

/* 0 if the body was read to its end without failure, else -EPROTO with a message that names it. */
int section_done(const struct section *s, struct err *e);

#endif
