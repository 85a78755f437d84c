/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the section "console": the end of the scrollback, and what was typed that its device has not
 * taken yet. Must never believe a length.
 * Next in the flow: state.c.
 */
#include <errno.h>
#include <string.h>

#include "hv/base/section.h"
#include "hv/vm/internal.h"

#define CONSOLE_VERSION 1u

void vm_console_save(struct vm *vm, struct wbuf *w)
{
	size_t at = section_begin(w, "console", 0, CONSOLE_VERSION);

	if (vm->scroll)
		scrollback_save(vm->scroll, w);
	else
		wbuf_u32(w, 0);
	pthread_mutex_lock(&vm->in.lock);
	wbuf_u32(w, (uint32_t)vm->in.len);
	wbuf_bytes(w, vm->in.buf, vm->in.len);
	pthread_mutex_unlock(&vm->in.lock);
	section_end(w, at);
}

int vm_console_load(struct vm *vm, struct section *s, struct err *e)
{
	struct rbuf look = s->body;
	const void *typed;
	uint32_t n;
	int r = section_version(s, CONSOLE_VERSION, e);

	if (r)
		return r;
	scrollback_load(NULL, &look);
	n = rbuf_u32(&look);
	typed = n <= sizeof(vm->in.buf) ? rbuf_bytes(&look, n) : NULL;
	if (!typed || !rbuf_done(&look))
		return err_set(e, -EPROTO, "state section 'console' is malformed");
	scrollback_load(vm->scroll, &s->body);
	pthread_mutex_lock(&vm->in.lock);
	memcpy(vm->in.buf, typed, n);
	__atomic_store_n(&vm->in.len, n, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vm->in.lock);
	return 0;
}
