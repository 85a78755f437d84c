/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what the target adds to the facts of its host: whether the guest's name is free, and how
 * this receiver was started. Must never keep the name: the offer takes it.
 * Next in the flow: hv/ctl/preflight.c.
 */
#include "hv/cmd/incoming_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/ctl/claim.h"
#include "hv/ctl/client.h"
#include "hv/ctl/preflight.h"

static bool check_in_doubt(const char *name)
{
	const char *state = NULL;
	json_t *j = NULL;
	bool doubt;

	if (ctl_ask(NULL, name, "status", &j, NULL) == 0)
		state = json_string_value(json_object_get(j, "state"));
	doubt = state && strcmp(state, "in-doubt") == 0;
	json_decref(j);
	return doubt;
}

static void check_name(struct pf_facts *f)
{
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct err e = { 0 };

	if (ctl_claim_take(&claim, ctl_runtime_dir(), f->guest, &e) == 0) {
		ctl_claim_drop(&claim);
		f->name_free = PF_YES;
		return;
	}
	/* A copy in doubt gives way to the very guest that it is one of; the offer says who comes.
	 */
	f->name_free = e.code == -EEXIST && check_in_doubt(f->guest) ? PF_UNKNOWN : PF_NO;
	snprintf(f->name_error, sizeof(f->name_error), "%.*s%s", (int)sizeof(f->name_error) - 64,
		e.msg, f->name_free == PF_NO ? "" : "; it is in doubt, and gives way to itself");
}

int incoming_check_facts(void *arg, const void *body, size_t len, struct wbuf *out, struct err *e)
{
	struct incoming_check *c = arg;
	struct pf_facts *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, -ENOMEM, "no memory for the checks");
	rc = ctl_preflight_answer(body, len, c->fd, f, &c->port, e);
	if (rc == 0) {
		check_name(f);
		f->overcommit = c->overcommit ? PF_YES : PF_NO;
		pf_facts_encode(f, false, out);
		if (out->failed)
			rc = err_set(e, -ENOMEM, "no memory for the checks");
	}
	free(f);
	return rc;
}

void incoming_check_end(struct incoming_check *c)
{
	if (c->port >= 0)
		close(c->port);
	c->port = -1;
}
