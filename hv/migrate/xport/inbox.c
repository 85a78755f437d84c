/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the growth of inbox.h.
 * Next in the flow: transport-tcp/recv.c, transport-rdma/ctrl.c.
 */
#include "hv/migrate/xport/inbox.h"

#include <errno.h>
#include <stdlib.h>

int xport_inbox_room(struct xport_inbox *in, size_t n, size_t total)
{
	size_t cap = in->cap ? in->cap : XPORT_INBOX_FIRST;
	uint8_t *p;

	while (cap < in->got + n)
		cap *= 2;
	if (cap > total && total > XPORT_INBOX_FIRST)
		cap = total;
	if (cap <= in->cap)
		return 0;
	p = realloc(in->data, cap);
	if (!p)
		return -ENOMEM;
	in->data = p;
	in->cap = cap;
	return 0;
}

void xport_inbox_release(struct xport_inbox *in)
{
	in->complete = in->delivered = false;
	in->got = 0;
	if (in->cap > XPORT_INBOX_FIRST)
		xport_inbox_fini(in);
}

void xport_inbox_fini(struct xport_inbox *in)
{
	free(in->data);
	*in = (struct xport_inbox){ 0 };
}
