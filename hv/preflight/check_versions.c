/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: both ends speak one protocol, and the target reads every section of state that the source
 * writes. Next in the flow: check_transport.c.
 */
#include <stdio.h>
#include <string.h>

#include "hv/preflight/checks.h"

/* The version of section @name in @list ("name:version name:version "); 0: it is not there. */
static unsigned versions_find(const char *list, const char *name)
{
	size_t n = strlen(name);
	unsigned v;

	for (const char *p = list; p; p = strchr(p, ' ')) {
		p += *p == ' ';
		if (strncmp(p, name, n) == 0 && p[n] == ':' && sscanf(p + n + 1, "%u", &v) == 1)
			return v;
	}
	return 0;
}

static void versions_formats(const char *have, const char *know, struct pf_result *r)
{
	char name[33];
	unsigned v;
	int used;

	for (const char *p = have; sscanf(p, " %32[^: ]:%u%n", name, &v, &used) == 2; p += used) {
		unsigned there = versions_find(know, name);

		if (!there)
			pf_find(r, PF_FAIL,
				"the guest's state has a section '%s', which the target does not know",
				name);
		else if (there < v)
			pf_find(r, PF_FAIL,
				"the guest's state has section '%s' in version %u, the target reads "
				"up to %u",
				name, v, there);
	}
}

static void check_versions(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (src->unreached[0]) {
		if (src->stranger)
			pf_find(r, PF_FAIL, "%s", src->unreached);
		else
			pf_find(r, PF_WARN, "not known: the target did not say");
		return;
	}
	if (src->protocol != dst->protocol)
		pf_find(r, PF_FAIL, "protocol %u here (watari %s), %u there (watari %s)",
			src->protocol, src->software, dst->protocol, dst->software);
	if (src->formats[0] && dst->formats[0])
		versions_formats(src->formats, dst->formats, r);
	else
		pf_find(r, PF_WARN, "the formats of the guest's state are not known");
	pf_find(r, PF_PASS,
		"protocol %u at both ends, watari %s here and %s there, every section of "
		"state is known there",
		src->protocol, src->software, dst->software);
}

const struct pf_check pf_check_versions = {
	.name = "versions",
	.what = "protocol and format of the state, and the versions of watari",
	.why = "a target that reads the state in another way would run another guest",
	.mend = "install the same version of watari on both hosts",
	.flags = PF_BEFORE_ALL,
	.run = check_versions,
};
