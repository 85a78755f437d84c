/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of an arriving guest's host to what the source asks before its offer.
 * Next in the flow: hv/ctl/preflight.h.
 */
#ifndef WATARI_CMD_INCOMING_CHECK_H
#define WATARI_CMD_INCOMING_CHECK_H

#include <stdbool.h>

#include "hv/base/uuid.h"
#include "hv/ctl/claim.h"
#include "hv/migrate/rendezvous.h"

struct incoming_check {
	int fd;   /* the rendezvous */
	int port; /* that the source may try; -1: none. incoming_check_end() closes it */
	bool overcommit;
};

/*
 * Whether the guest that has @name here is a copy, in doubt, of the guest @uuid: a move of that
 * guest to here ends it, for its source runs it.
 */
bool incoming_doubtful(const char *name, const uint8_t uuid[UUID_SIZE]);

/*
 * Takes @name in the runtime directory, and waits up to 3 s for a process that holds it and is on
 * its way out: so a move can be tried again as soon as the one before it failed. Errors as of
 * ctl_claim_take().
 */
int incoming_name(struct ctl_claim *c, const char *name, struct err *e);

/* For struct rdv_checker: @arg is a struct incoming_check. */
int incoming_check_facts(void *arg, const void *body, size_t len, struct wbuf *out, struct err *e);
void incoming_check_end(struct incoming_check *c);

#endif
