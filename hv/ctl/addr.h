/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network addresses as people write them: HOST:PORT, [IPv6]:PORT, :PORT and PORT. Text only; names
 * are resolved by whoever connects or listens.
 */
#ifndef WATARI_CTL_ADDR_H
#define WATARI_CTL_ADDR_H

#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"

#define CTL_HOST_MAX 256
#define CTL_ADDR_MAX (CTL_HOST_MAX + 10) /* "[host]:port" and NUL */

struct ctl_addr {
	char host[CTL_HOST_MAX]; /* without brackets */
	uint16_t port;
};

/*
 * Parses @text. Where it names no host, @default_host is taken; NULL: then that is an error.
 * Ports from @port_min to 65535. -EINVAL quotes the text.
 */
int ctl_addr_parse(const char *text, const char *default_host, uint16_t port_min,
	struct ctl_addr *out, struct err *e);

/* "HOST:PORT", brackets around what holds a colon; returns @buf, of CTL_ADDR_MAX bytes. */
const char *ctl_addr_format(const struct ctl_addr *a, char *buf);

#endif
