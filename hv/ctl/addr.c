/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the text form of addresses (see addr.h). Must never resolve a name. */
#include "hv/ctl/addr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/size.h"

static int addr_bad(const char *text, struct err *e)
{
	return err_set(e, -EINVAL,
		"address '%s' is not HOST:PORT (an IPv6 address goes in brackets: [::1]:4000)",
		text);
}

int ctl_addr_parse(const char *text, const char *default_host, uint16_t port_min,
	struct ctl_addr *out, struct err *e)
{
	const char *host = text, *port, *end;
	uint64_t v;
	size_t n;

	if (text[0] == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || end[1] != ':')
			return addr_bad(text, e);
		port = end + 2;
	} else {
		end = strrchr(text, ':');
		port = end ? end + 1 : text;
		if (!end)
			end = text;
		if (memchr(host, ':', (size_t)(end - host)))
			return addr_bad(text, e);
	}
	n = (size_t)(end - host);
	if (n == 0 && default_host) {
		host = default_host;
		n = strlen(host);
	}
	if (n == 0 || n >= sizeof(out->host) || !*port)
		return addr_bad(text, e);
	if (number_parse(port, "port", port_min, UINT16_MAX, &v, e) < 0)
		return err_wrap(e, "address '%s'", text);
	memcpy(out->host, host, n);
	out->host[n] = '\0';
	out->port = (uint16_t)v;
	return 0;
}

const char *ctl_addr_format(const struct ctl_addr *a, char *buf)
{
	snprintf(buf, CTL_ADDR_MAX, strchr(a->host, ':') ? "[%s]:%u" : "%s:%u", a->host, a->port);
	return buf;
}
