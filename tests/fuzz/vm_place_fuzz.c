/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes place_check() and place_trim(): what is accepted is accepted for fewer vCPUs once it is
 * trimmed, and trimming leaves the vCPUs that stay where they were.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/vm/config.h"
#include "hv/vm/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int all_cpus(cpu_set_t *s, struct err *e)
{
	(void)e;
	memset(s, 0xff, sizeof(*s));
	return 0;
}

/* Every node has a CPU of its own. */
static int one_cpu(unsigned node, cpu_set_t *s, struct err *e)
{
	(void)e;
	CPU_ZERO(s);
	CPU_SET(node, s);
	return 0;
}

static const struct cpus_host host = { all_cpus, all_cpus, one_cpu };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[VM_PLACE_MAX + 64], fewer[VM_PLACE_MAX];
	struct err e = { 0 };
	unsigned cpus;

	if (size < 1 || size > sizeof(text))
		return 0;
	cpus = 1 + data[0] % 8;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (place_check(text, VM_CPUS_MAX, &e) != 0)
		return 0;
	if (place_fits(text, &host, &e) != 0)
		abort();
	strcpy(fewer, text);
	place_trim(fewer, cpus);
	if (place_check(fewer, cpus, &e) != 0)
		abort();
	for (unsigned v = 0; v < cpus; v++) {
		cpu_set_t a, b;
		int ra = place_of(text, v, &host, &a, &e), rb = place_of(fewer, v, &host, &b, &e);

		if (ra != rb || ra < 0 || (ra == 1 && !CPU_EQUAL(&a, &b)))
			abort();
	}
	return 0;
}
