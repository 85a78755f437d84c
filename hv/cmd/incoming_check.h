/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of an arriving guest's host to what the source asks before its offer.
 * Next in the flow: hv/ctl/preflight.h.
 */
#ifndef WATARI_CMD_INCOMING_CHECK_H
#define WATARI_CMD_INCOMING_CHECK_H

#include <stdbool.h>

#include "hv/migrate/rendezvous.h"

struct incoming_check {
	int fd;   /* the rendezvous */
	int port; /* that the source may try; -1: none. incoming_check_end() closes it */
	bool overcommit;
};

/* For struct rdv_checker: @arg is a struct incoming_check. */
int incoming_check_facts(void *arg, const void *body, size_t len, struct wbuf *out, struct err *e);
void incoming_check_end(struct incoming_check *c);

#endif
