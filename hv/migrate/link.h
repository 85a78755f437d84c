/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host says of the network device a connection leaves by: how fast it is, and where it is.
 * Next in the flow: streams.h, hv/mem/near.h.
 */
#ifndef WATARI_MIGRATE_LINK_H
#define WATARI_MIGRATE_LINK_H

#include <stdint.h>

struct link {
	uint64_t mbit; /* a second; 0: not known, or both ends are on this host */
	int node;      /* NUMA node; NEAR_ANYWHERE: not known */
};

/* Fills @out for the connected socket @fd. Cannot fail: what cannot be found out is not known. */
void link_look(int fd, struct link *out);
/* The same of device @name under @sysfs ("/sys/class/net"). */
void link_read(const char *sysfs, const char *name, struct link *out);

#endif
