/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns transports[], the only place that knows every transport.
 * Next in the flow: transport-tcp/xtcp.h.
 */
#include "hv/cmd/transports.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "transport-rdma/xrdma.h"
#include "transport-tcp/xtcp.h"

/*
 * In order of preference: --transport auto takes the first that both ends can use. Plain sockets
 * before io_uring until that is the faster of the two (docs/decisions/0025).
 */
static const struct xport_ops *const transports[] = {
	&xrdma_ops,
	&xtcp_sock_ops,
	&xtcp_uring_ops,
};
#define TRANSPORTS (sizeof(transports) / sizeof(transports[0]))
_Static_assert(TRANSPORTS <= RDV_TRANSPORTS_MAX, "a HELLO lists them all");

int transports_find(const char *name, struct xport_list *out, struct err *e)
{
	char known[128] = "auto";

	*out = (struct xport_list){ .ops = transports, .n = TRANSPORTS };
	if (strcmp(name, "auto") == 0)
		return 0;
	for (size_t i = 0; i < TRANSPORTS; i++) {
		size_t n = strlen(known);

		if (strcmp(transports[i]->name, name) == 0) {
			*out = (struct xport_list){ .ops = &transports[i], .n = 1, .named = true };
			return 0;
		}
		snprintf(known + n, sizeof(known) - n, ", %s", transports[i]->name);
	}
	return err_set(e, -EINVAL, "there is no transport '%.32s' here; there is: %s", name, known);
}

const struct xport_ops *transport_at(size_t i)
{
	return i < TRANSPORTS ? transports[i] : NULL;
}

void transports_load(void)
{
	xrdma_warm();
}

static void *transports_thread(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "transports");
	/* At no lower priority than others: a move that comes meanwhile waits for the linker's
	 * lock. */
	transports_load();
	return NULL;
}

void transports_warm(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Without the thread the first move does what it would have done. */
	(void)!pthread_create(&thread, &attr, transports_thread, NULL);
	pthread_attr_destroy(&attr);
}
