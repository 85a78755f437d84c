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
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/client.h"
#include "hv/ctl/preflight.h"

#define INCOMING_NAME_NS (3 * NSEC_PER_SEC)

bool incoming_doubtful(const char *name, const uint8_t uuid[UUID_SIZE])
{
	const char *state, *whose;
	char text[UUID_TEXT];
	json_t *j = NULL;
	bool same;

	if (uuid_is_zero(uuid) || ctl_ask(NULL, name, "status", &j, NULL))
		return false;
	state = json_string_value(json_object_get(j, "state"));
	whose = json_string_value(json_object_get(j, "uuid"));
	same = state && whose && strcmp(state, "in-doubt") == 0 &&
	       strcmp(whose, uuid_format(uuid, text)) == 0;
	json_decref(j);
	return same;
}

/*
 * Whether who holds the name may be about to give it back: it does not answer (killed, and the
 * kernel takes its memory apart, which the lock outlives), or waits for its guest (and may have
 * lost its source).
 */
static bool incoming_passes(const char *name)
{
	json_t *j = NULL;
	const char *state;
	bool passes;

	if (ctl_ask(NULL, name, "status", &j, NULL))
		return true;
	state = json_string_value(json_object_get(j, "state"));
	passes = state && strcmp(state, "incoming") == 0;
	json_decref(j);
	return passes;
}

int incoming_name(struct ctl_claim *c, const char *name, struct err *e)
{
	const struct timespec pause = { .tv_nsec = 20 * NSEC_PER_MSEC };
	uint64_t end = clock_mono_ns() + INCOMING_NAME_NS;

	for (;;) {
		int rc = ctl_claim_take(c, ctl_runtime_dir(), name, e);

		if (rc != -EEXIST || clock_mono_ns() >= end || !incoming_passes(name))
			return rc;
		err_clear(e);
		nanosleep(&pause, NULL);
	}
}

static void check_name(struct pf_facts *f)
{
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct err e = { 0 };

	if (incoming_name(&claim, f->guest, &e) == 0) {
		ctl_claim_drop(&claim);
		f->name_free = PF_YES;
		return;
	}
	f->name_free = e.code == -EEXIST && incoming_doubtful(f->guest, f->uuid) ? PF_YES : PF_NO;
	if (f->name_free == PF_NO)
		snprintf(f->name_error, sizeof(f->name_error), "%.*s",
			(int)sizeof(f->name_error) - 1, e.msg);
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
