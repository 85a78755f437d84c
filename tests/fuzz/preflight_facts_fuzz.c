/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the facts of a peer: what is accepted is compared by every check, as either end's. */
#include <stdlib.h>
#include <string.h>

#include "hv/preflight/preflight.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pf_facts theirs, again, own = { .guest = "bird" };
	static struct pf_report report;
	struct wbuf w;
	struct err e;

	if (pf_facts_decode(&theirs, data, size, &e))
		return 0;
	pf_run(&own, &theirs, 0, true, &report);
	pf_run(&theirs, &own, 0, true, &report);
	pf_run(&theirs, &theirs, 0, true, &report);
	/* what was taken once is taken again, and is the same */
	wbuf_init(&w);
	pf_facts_encode(&theirs, false, &w);
	if (w.failed || pf_facts_decode(&again, w.data, w.len, &e) ||
		memcmp(&theirs, &again, sizeof(again)) != 0)
		abort();
	wbuf_fini(&w);
	return 0;
}
