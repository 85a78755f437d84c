/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the keys of the limits (see limits.h). Must never let a request through that contradicts
 * itself. Next in the flow: hv/migrate/limits.c.
 */
#include "hv/ctl/limits.h"

#include <errno.h>
#include <stdio.h>

#include "hv/ctl/proto.h"

static const char *limits_key(enum mig_limit l, char *out, size_t n)
{
	snprintf(out, n, "%s_timeout_ns", mig_limit_name(l));
	return out;
}

int ctl_limits_get(
	const json_t *request, uint64_t downtime_limit_ns, struct mig_limits *l, struct err *e)
{
	char key[32];

	mig_limits_default(l);
	l->ns[MIG_LIMIT_FROZEN] = mig_limits_frozen_for(downtime_limit_ns);
	for (int i = 0; i < MIG_LIMITS; i++) {
		int rc = ctl_get_u64(request, limits_key((enum mig_limit)i, key, sizeof(key)), 0,
			MIG_LIMIT_MOST_NS, &l->ns[i], e);

		if (rc < 0)
			return rc;
	}
	return mig_limits_check(l, downtime_limit_ns, e);
}

int ctl_limits_put(
	const struct ctl_limits *l, uint64_t downtime_limit_ns, json_t *request, struct err *e)
{
	struct mig_limits read;
	char key[32];

	for (int i = 0; i < MIG_LIMITS; i++) {
		uint64_t ns;
		int rc;

		if (!l->text[i])
			continue;
		rc = mig_limit_parse((enum mig_limit)i, l->text[i], &ns, e);
		if (rc < 0)
			return rc;
		if (json_object_set_new(request, limits_key((enum mig_limit)i, key, sizeof(key)),
			    json_integer((json_int_t)ns)) < 0)
			return err_set(e, -ENOMEM, "no memory for a request");
	}
	/* read back, so that a contradiction is told to the one who typed it */
	return ctl_limits_get(request, downtime_limit_ns, &read, e);
}
