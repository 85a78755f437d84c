/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the move of a definition (see migrate_offline.h). Must never mark the copy here as moved
 * before the target has said that it keeps it.
 * Next in the flow: hv/migrate/rendezvous.h; incoming.c at the target.
 */
#include "hv/cmd/migrate_offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/cmd/state_dir.h"
#include "hv/ctl/claim.h"
#include "hv/migrate/rendezvous.h"

#define OFFLINE_WAIT_NS (4 * NSEC_PER_SEC)

static int offline_offer(struct rdv_offer *o, const struct vm_config *c, struct err *e)
{
	struct wbuf w;
	int rc = 0;

	wbuf_init(&w);
	vm_config_encode(c, &w);
	if (w.failed || w.len > sizeof(o->config))
		rc = err_set(e, -ENOMEM, "no memory for the definition");
	if (rc == 0) {
		o->definition = true;
		o->config_len = (uint32_t)w.len;
		memcpy(o->config, w.data, w.len);
		strcpy(o->name, c->name);
		strcpy(o->software, rdv_software());
	}
	wbuf_fini(&w);
	return rc;
}

static int offline_send(const struct ctl_addr *to, const struct chan_want *secure,
	const struct rdv_offer *o, struct err *e)
{
	struct rdv_transports there;
	struct chan *c;
	int rc = rdv_connect(&c, to->host, to->port, secure, OFFLINE_WAIT_NS, e);

	if (rc < 0)
		return rc;
	/* What the target can do does not matter; it says so before it asks. It may load drivers.
	 */
	if ((rc = rdv_meet(c, 0, OFFLINE_WAIT_NS, e)) == 0 &&
		(rc = rdv_can_read(c, &there, 5 * OFFLINE_WAIT_NS, e)) == 0)
		rc = rdv_define_send(c, o, 5 * OFFLINE_WAIT_NS, e);
	chan_close(c);
	return rc;
}

int migrate_offline(
	const char *name, const struct ctl_addr *to, const struct chan_want *secure, struct err *e)
{
	struct vm_config *c = calloc(1, sizeof(*c));
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct inifile_moved m;
	char addr[CTL_ADDR_MAX];
	int rc;

	if (!c || !o) {
		rc = err_set(e, -ENOMEM, "no memory for a definition");
		goto out;
	}
	rc = state_load(name, c, &m, e);
	if (rc == 0 && m.to[0])
		rc = err_set(e, -EEXIST, "guest %s moved to %s on %s already", name, m.to, m.at);
	c->persistent = true;
	if (rc == 0)
		rc = vm_config_check(c, e);
	if (rc == 0) /* from here on nobody starts it */
		rc = ctl_claim_take(&claim, ctl_runtime_dir(), name, e);
	if (rc == 0)
		rc = offline_offer(o, c, e);
	if (rc == 0)
		rc = offline_send(to, secure, o, e);
	if (rc == 0) {
		state_moved(&m, ctl_addr_format(to, addr));
		rc = state_keep(c, &m, e);
		if (rc)
			err_wrap(e,
				"the definition of guest %s is at %s now, but the copy here "
				"does not say so",
				name, addr);
	}
out:
	ctl_claim_drop(&claim);
	free(c);
	free(o);
	return rc;
}
