/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of an arrival in a test (see vm_arrival.h): the target's machine first, then the
 * freeze, memory, state. Next in the flow: hv/vm/state.c.
 */
#include "tests/lib/vm_arrival.h"

#include <string.h>

#include "hv/base/codec.h"

void arrival_copy_memory(struct vm *to, struct vm *from)
{
	const struct gmem *src = vm_mem(from), *dst = vm_mem(to);
	struct err e = { 0 };

	for (uint32_t i = 0; i < src->nregions; i++) {
		uint64_t at = 0, start, end;

		while (gmem_next_data(src, &src->regions[i], at, &start, &end, &e) > 0) {
			memcpy(dst->regions[i].host + start, src->regions[i].host + start,
				end - start);
			at = end;
		}
	}
}

struct vm *arrival(struct vm *from, const struct vm_config *c, uint64_t elapsed_ns, struct err *e)
{
	struct vm *to = NULL;
	struct wbuf w;
	struct rbuf r;
	int rc = vm_new(&to, c, e);

	wbuf_init(&w);
	if (rc == 0)
		rc = vm_mig_ops.freeze(from, e);
	if (rc == 0) {
		arrival_copy_memory(to, from);
		rc = vm_mig_ops.save(from, &w, e);
	}
	if (rc == 0) {
		r = rbuf_of(w.data, w.len);
		rc = vm_mig_ops.load(to, &r, elapsed_ns, e);
	}
	wbuf_fini(&w);
	if (rc == 0)
		return to;
	vm_free(to);
	return NULL;
}
