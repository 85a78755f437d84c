/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns transports[], the only place that knows every transport.
 * Next in the flow: transport-tcp/xtcp.h.
 */
#include "hv/cmd/transports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "transport-tcp/xtcp.h"

static const struct xport_ops *const transports[] = {
	&xtcp_sock_ops,
};
#define TRANSPORTS (sizeof(transports) / sizeof(transports[0]))

const struct xport_ops *transport_find(const char *name, struct err *e)
{
	char known[128] = "";

	for (size_t i = 0; i < TRANSPORTS; i++) {
		size_t n = strlen(known);

		if (strcmp(transports[i]->name, name) == 0)
			return transports[i];
		snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", transports[i]->name);
	}
	err_set(e, -EINVAL, "there is no transport '%.32s' here; there is: %s", name, known);
	return NULL;
}

const struct xport_ops *transport_at(size_t i)
{
	return i < TRANSPORTS ? transports[i] : NULL;
}
