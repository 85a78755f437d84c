/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the framing of saved state (see section.h). Must never look into a payload.
 * Next in the flow: the save and load functions of hv/kvm and hv/dev.
 */
#include "hv/base/section.h"

#include <errno.h>

size_t section_begin(struct wbuf *w, const char *name, uint32_t instance, uint32_t version)
{
	wbuf_str(w, name);
	wbuf_u32(w, instance);
	wbuf_u32(w, version);
	wbuf_u32(w, 0);
	return w->len;
}

void section_end(struct wbuf *w, size_t cookie)
{
	size_t n = w->len - cookie;

	if (n > UINT32_MAX) {
		w->failed = true;
		return;
	}
	wbuf_patch_u32(w, cookie - sizeof(uint32_t), (uint32_t)n);
}

int section_next(struct rbuf *r, struct section *s, struct err *e)
{
	uint32_t n;
	const void *p;

	if (!r->failed && rbuf_left(r) == 0)
		return 0;
	rbuf_str(r, s->name, sizeof(s->name));
	s->instance = rbuf_u32(r);
	s->version = rbuf_u32(r);
	n = rbuf_u32(r);
	p = rbuf_bytes(r, n);
	if (!p || s->name[0] == '\0' || s->version == 0)
		return err_set(e, -EPROTO, "saved state is damaged or cut short");
	s->body = rbuf_of(p, n);
	return 1;
}

int section_version(const struct section *s, uint32_t known, struct err *e)
{
	if (s->version >= 1 && s->version <= known)
		return 0;
	return err_set(e, -EPROTO, "state section '%s' has version %u, this watari knows up to %u",
		s->name, s->version, known);
}

int section_done(const struct section *s, struct err *e)
{
	if (rbuf_done(&s->body))
		return 0;
	return err_set(e, -EPROTO, "state section '%s' (instance %u, version %u) is malformed: %s",
		s->name, s->instance, s->version,
		s->body.failed ? "too short or out of range" : "too long");
}
