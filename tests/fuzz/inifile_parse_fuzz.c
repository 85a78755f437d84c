/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes inifile_parse(): a definition that passes the check reads back from its own print. */
#include <stdlib.h>
#include <string.h>

#include "hv/cmd/inifile.h"
#include "hv/vm/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(char *text, size_t n, struct vm_config *c, struct inifile_moved *m)
{
	struct err e = { 0 };
	int rc;

	vm_def_init(c);
	rc = inifile_parse("/fuzz.ini", text, n, c, m, &e);
	vm_def_finish(c);
	if (rc < 0 && !e.msg[0])
		abort();
	return rc ? rc : vm_config_check(c, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vm_config a, b;
	struct inifile_moved m, k;
	char *copy = malloc(size + 1), *text = NULL;
	size_t n = 0;
	FILE *to;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (parse(copy, size, &a, &m) == 0) {
		to = open_memstream(&text, &n);
		inifile_print(to, &a, &m);
		fclose(to);
		if (parse(text, n, &b, &k) != 0 || memcmp(&a, &b, sizeof(a)) != 0)
			abort();
		free(text);
	}
	free(copy);
	return 0;
}
