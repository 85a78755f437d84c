/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks before a move, at work: the source's facts are gathered, sent over the rendezvous, and
 * compared with what the target sends back; and the target's half. Blocks, on the thread of a move
 * or of a check. Next in the flow: hv/preflight/preflight.h; check.h, migrate.c and
 * hv/cmd/incoming.c call it.
 */
#ifndef WATARI_CTL_PREFLIGHT_H
#define WATARI_CTL_PREFLIGHT_H

#include <jansson.h>

#include "hv/ctl/addr.h"
#include "hv/migrate/move.h"
#include "hv/preflight/preflight.h"
#include "hv/vm/vm.h"

struct ctl_preflight {
	struct vm *vm;
	uint64_t skip; /* of pf_skip_parse() */
	uint64_t downtime_limit_ns;
	/* `watari check` only: */
	bool thorough; /* measure the link and the guest's writing, too */
	struct xport_list transports;
	struct ctl_addr to;
};

/* For a move, on the rendezvous @fd behind the choice of @xport. 0, or -EPERM: some failed. */
int ctl_preflight_move(const struct ctl_preflight *p, int fd, const struct xport_ops *xport,
	uint64_t timeout_ns, struct pf_report *out, struct err *e);

/* By itself: connects, looks, leaves. What fails is in the report. */
void ctl_preflight_check(const struct ctl_preflight *p, struct pf_report *out);

/* [{"name":,"result":,"said":,"what":,"why":,"mend":}] of all, or those of @least and worse. */
json_t *ctl_preflight_json(const struct pf_report *p, enum pf_level least);
/* The key "skip" of a request, an array of names, into a set. */
int ctl_preflight_skip(const json_t *request, uint64_t *skip, struct err *e);

/*
 * Target: fills @here from what the source sent in @body; @fd is the rendezvous, @port a descriptor
 * that stays open until the source had time to try it. The caller adds what it knows of the name.
 */
int ctl_preflight_answer(
	const void *body, size_t len, int fd, struct pf_facts *here, int *port, struct err *e);

#endif
