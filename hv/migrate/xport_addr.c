/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the words for what of xport_addr.h is typed by a person.
 * Next in the flow: hv/migrate/xport.h.
 */
#include "hv/migrate/xport_addr.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const char *const pin_names[] = {
	[XPORT_PIN_AUTO] = "auto",
	[XPORT_PIN_ALL] = "all",
	[XPORT_PIN_CHUNK] = "chunk",
	[XPORT_PIN_ODP] = "odp",
};
#define PINS (sizeof(pin_names) / sizeof(pin_names[0]))

const char *xport_pin_name(enum xport_pin p)
{
	return pin_names[p];
}

static int pin_parse(const char *text, enum xport_pin *out, struct err *e)
{
	for (size_t i = 0; i < PINS; i++) {
		if (strcmp(text, pin_names[i]) == 0) {
			*out = (enum xport_pin)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "rdma-pin '%.32s' is none of auto, all, chunk, odp", text);
}

int xport_rdma_parse(const char *device, const char *pin, struct xport_rdma *out, struct err *e)
{
	*out = (struct xport_rdma){ 0 };
	if (device && strlen(device) >= sizeof(out->device))
		return err_set(e, -ENAMETOOLONG, "'%.32s...' is too long for an RDMA device's name",
			device);
	if (device)
		strcpy(out->device, device);
	return pin ? pin_parse(pin, &out->pin, e) : 0;
}
