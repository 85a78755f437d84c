/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which transport a move takes: the first of the source's list that both ends can use, or the one
 * that was asked for by name and no other.
 * Next in the flow: hv/migrate/move.c asks both ends, then connects what was chosen.
 */
#ifndef WATARI_MIGRATE_CHOOSE_H
#define WATARI_MIGRATE_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "hv/base/err.h"
#include "hv/migrate/rendezvous.h"
#include "hv/migrate/xport.h"

#define CHOOSE_NOTE_MAX 512

/* Transports to choose from, best first. The table is static: copies of this are free. */
struct xport_list {
	const struct xport_ops *const *ops;
	unsigned n; /* 1..RDV_TRANSPORTS_MAX */
	bool named; /* n is 1, and it was asked for by name: no other will do */
};

/* Asks every transport of @l what it can do on this host towards @addr->host; NULL: at all. */
void choose_probe(
	const struct xport_list *l, const struct xport_addr *addr, struct rdv_transports *out);

/*
 * The transport to take, given what this host (@here, of choose_probe() with @l) and the target
 * (@there, from its HELLO) can do. @note, of CHOOSE_NOTE_MAX bytes, tells in one line what is taken
 * and why nothing better. NULL, -EOPNOTSUPP: none; the error says what is missing at which end.
 */
const struct xport_ops *choose_transport(const struct xport_list *l,
	const struct rdv_transports *here, const struct rdv_transports *there, char *note,
	struct err *e);

#endif
