/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the messages of a move and of its rendezvous: the first byte picks the decoder. */
#include <stdlib.h>

#include "hv/base/section.h"
#include "hv/migrate/extents.h"
#include "hv/migrate/rdv_codec.h"
#include "hv/migrate/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted must lie in guest memory, and be found again. */
static void fuzz_extents(struct rbuf *r)
{
	static const struct gmem m = { .nregions = 2,
		.regions = { { .size = 64 << 20 }, { .size = 1 << 20 } } };
	struct extents x;

	if (extents_decode(&x, r, &m, NULL))
		return;
	for (uint32_t i = 0; i < x.n; i++) {
		const struct extent *e = &x.e[i];

		if ((e->page + e->pages) << GMEM_PAGE_SHIFT > m.regions[e->region].size ||
			extents_at(&x, e->before) != e ||
			extents_before(&x, e->region, e->page) != e->before)
			abort();
	}
	extents_fini(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rdv_offer offer;
	struct rdv_transports can;
	struct rdv_accept acc;
	uint64_t memory;
	struct section s;
	struct wire_msg m;
	struct rbuf r;
	struct err e;

	if (size < 1)
		return 0;
	r = rbuf_of(data + 1, size - 1);
	switch (data[0] % 16) {
	case 0: rdv_offer_decode(&offer, &r, &e); break;
	case 1: rdv_accept_decode(&acc, &r, &e); break;
	case 2: rdv_hello_decode(&memory, &r, &e); break;
	case 3: rdv_can_decode(&can, &r, &e); break;
	case 15: rdv_define_decode(&offer, &r, &e); break;
	case 4:
		while (section_next(&r, &s, &e) == 1)
			;
		break;
	default:
		if (wire_decode(&m, data[0] % 16 - 4, data + 1, size - 1, &e) == 0 &&
			m.type == WIRE_EXTENTS)
			fuzz_extents(&m.state);
		break;
	}
	return 0;
}
