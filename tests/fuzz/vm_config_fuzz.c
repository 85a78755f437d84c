/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes vm_config_decode(): what it accepts must pass the check and survive the way back. */
#include <stdlib.h>
#include <string.h>

#include "hv/base/section.h"
#include "hv/vm/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int config_decode(const void *p, size_t n, struct vm_config *c)
{
	struct rbuf r = rbuf_of(p, n);
	struct err e = { 0 };

	return vm_config_decode(c, &r, &e);
}

/* The bytes as the payload of a right section of @version. */
static void config_payload(const uint8_t *data, size_t size, uint32_t version)
{
	struct vm_config a, b;
	struct wbuf w;
	size_t at;

	wbuf_init(&w);
	at = section_begin(&w, "config", 0, version);
	wbuf_bytes(&w, data, size);
	section_end(&w, at);
	if (config_decode(w.data, w.len, &a) == 0) {
		wbuf_reset(&w);
		vm_config_encode(&a, &w);
		if (config_decode(w.data, w.len, &b) != 0 || memcmp(&a, &b, sizeof(a)) != 0)
			abort();
	}
	wbuf_fini(&w);
}

/* The bytes as they are, and again as a payload of each version. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_config a;

	(void)config_decode(data, size, &a);
	for (uint32_t version = 1; version <= 3; version++)
		config_payload(data, size, version);
	return 0;
}
