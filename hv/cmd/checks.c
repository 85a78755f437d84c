/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what checks.h says. Next in the flow: check.c. */
#include "hv/cmd/checks.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "hv/preflight/preflight.h"

int checks_skip_add(struct checks_skip *s, const char *names)
{
	if (s->n == sizeof(s->name) / sizeof(s->name[0]))
		return -ENOSPC;
	s->name[s->n++] = names;
	return 0;
}

int checks_skip_put(const struct checks_skip *s, json_t *request, struct err *e)
{
	uint64_t skip = 0;
	json_t *list;

	if (!s->n)
		return 0;
	list = json_array();
	for (unsigned i = 0; i < s->n; i++) {
		int rc = pf_skip_parse(s->name[i], &skip, e);

		if (rc < 0) {
			json_decref(list);
			return rc;
		}
		json_array_append_new(list, json_string(s->name[i]));
	}
	return json_object_set_new(request, "skip", list) < 0
		       ? err_set(e, -ENOMEM, "no memory for a request")
		       : 0;
}

static const char *checks_text(const json_t *check, const char *key)
{
	const char *text = json_string_value(json_object_get(check, key));

	return text ? text : "";
}

void checks_tell(const json_t *check)
{
	const char *result = checks_text(check, "result");

	printf("%-7s  %-11s  %s\n", result, checks_text(check, "name"), checks_text(check, "said"));
	if (strcmp(result, "warn") == 0 || strcmp(result, "fail") == 0)
		printf("%22sto mend it: %s\n", "", checks_text(check, "mend"));
}
