/* SPDX-License-Identifier: Apache-2.0 */
/* The move of a guest that does not run: its definition alone. Next in the flow: incoming.c. */
#ifndef WATARI_CMD_MIGRATE_OFFLINE_H
#define WATARI_CMD_MIGRATE_OFFLINE_H

#include "hv/ctl/addr.h"
#include "hv/migrate/chan.h"

/*
 * Hands the definition that this host keeps of guest @name to the `watari receive` at @to, and
 * marks the copy here as moved. Nobody can start the guest meanwhile. -ENOENT: this host keeps
 * none.
 */
int migrate_offline(
	const char *name, const struct ctl_addr *to, const struct chan_want *secure, struct err *e);

#endif
