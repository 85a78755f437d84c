/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the table of work completion states and what they usually mean (InfiniBand Architecture
 * Specification, volume 1, 11.6.2), and the words for connection manager events.
 * Next in the flow: recv.c.
 */
#include "transport-rdma/status.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
	int code;
	const char *means;
} meanings[] = {
	[IBV_WC_LOC_LEN_ERR] = { -EMSGSIZE, "the peer sent more than a receive buffer holds" },
	[IBV_WC_LOC_QP_OP_ERR] = { -EIO, "the adapter refused a work request; its firmware or "
					 "driver may be at fault" },
	[IBV_WC_LOC_PROT_ERR] = { -EFAULT,
		"the adapter may not read this memory any more: a registration was lost" },
	[IBV_WC_WR_FLUSH_ERR] = { -ECONNRESET,
		"the queue pair was ended; an earlier error or the peer did it" },
	[IBV_WC_BAD_RESP_ERR] = { -EPROTO, "the peer's adapter answered nonsense" },
	[IBV_WC_LOC_ACCESS_ERR] = { -EFAULT, "a receive buffer is not writable" },
	[IBV_WC_REM_INV_REQ_ERR] = { -EPROTO,
		"the peer's adapter does not take such a request; the message may be longer than "
		"its buffer" },
	[IBV_WC_REM_ACCESS_ERR] = { -EACCES,
		"the target does not let the source write there: the region is another move's, or "
		"the source was shut out" },
	[IBV_WC_REM_OP_ERR] = { -EREMOTEIO, "the peer's adapter could not carry it out" },
	[IBV_WC_RETRY_EXC_ERR] = { -ETIMEDOUT,
		"the peer's host does not answer: it is down, the link is cut, the network drops "
		"packets (RoCE: check MTU and flow control), or the target ended the queue pair" },
	[IBV_WC_RNR_RETRY_EXC_ERR] = { -ENOBUFS, "the peer had no receive buffer posted" },
	[IBV_WC_REM_ABORT_ERR] = { -ECONNABORTED, "the peer's adapter gave it up" },
	[IBV_WC_FATAL_ERR] = { -EIO, "the adapter failed; look into the kernel log" },
	[IBV_WC_RESP_TIMEOUT_ERR] = { -ETIMEDOUT, "the peer's adapter did not answer in time" },
	[IBV_WC_GENERAL_ERR] = { -EIO, "the adapter says no more; look into the kernel log" },
};
#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

const char *xrdma_status_meaning(enum ibv_wc_status s)
{
	if ((size_t)s < MEANINGS && meanings[s].means)
		return meanings[s].means;
	return "not one that this transport should ever cause";
}

int xrdma_status_error(struct err *e, const struct ibv_wc *wc, const char *what)
{
	int code = (size_t)wc->status < MEANINGS ? meanings[wc->status].code : 0;

	return err_set(e, code ? code : -EIO,
		"%s failed: %s (completion status %d, vendor 0x%x): %s", what,
		ibv_wc_status_str(wc->status), wc->status, wc->vendor_err,
		xrdma_status_meaning(wc->status));
}

#define XRDMA_REJ_NO_LISTENER 8  /* IB CM: invalid service ID */
#define XRDMA_REJ_CONSUMER    28 /* the program there said no */

static int xrdma_rejected(struct err *e, int status)
{
	if (status == XRDMA_REJ_CONSUMER)
		return err_set(e, -ECONNREFUSED,
			"it was rejected; the target expects another token, version, number of "
			"streams or device");
	if (status == XRDMA_REJ_NO_LISTENER || status == -ECONNREFUSED)
		return err_set(e, -ECONNREFUSED, "connection refused: nobody listens there");
	return err_set(e, -ECONNREFUSED,
		"connection refused by the connection manager there (reason %d)", status);
}

int xrdma_cm_error(struct err *e, enum rdma_cm_event_type event, int status)
{
	int code = status < 0 && status > -4096 ? status : -EHOSTUNREACH;

	switch (event) {
	case RDMA_CM_EVENT_REJECTED: return xrdma_rejected(e, status);
	case RDMA_CM_EVENT_ADDR_ERROR:
		return err_set(e, code,
			"no RDMA device has a way to that address (%s); `rdma link` shows the "
			"devices",
			strerrordesc_np(-code));
	case RDMA_CM_EVENT_ROUTE_ERROR:
		return err_set(e, code, "the way to that address cannot be resolved (%s)",
			strerrordesc_np(-code));
	case RDMA_CM_EVENT_UNREACHABLE:
		return err_set(e, code == -ETIMEDOUT ? code : -EHOSTUNREACH,
			"that host does not answer the connection manager; a firewall may drop UDP "
			"port 4791");
	case RDMA_CM_EVENT_CONNECT_ERROR:
		return err_set(e, code, "the connection broke while it was made (%d)", status);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		return err_set(e, -ENODEV, "the RDMA device was removed");
	case RDMA_CM_EVENT_DISCONNECTED:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		return err_set(e, -ECONNRESET, "the peer closed the connection");
	default: return err_set(e, -EIO, "%s (%d)", rdma_event_str(event), status);
	}
}
