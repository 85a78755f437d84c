/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network interface as its administrator sees it: up or down, its address, its bridge. By ioctl
 * and rtnetlink, in the network namespace of the caller (sysfs may show another one).
 * Next in the flow: tap.c.
 */
#ifndef WATARI_DEV_TAP_LINK_H
#define WATARI_DEV_TAP_LINK_H

#include <stdint.h>

#include "hv/base/err.h"

/* 0 and the index of the bridge (or other master) that @name is on, 0 if none; or -errno. */
int link_master(const char *name, unsigned *master, struct err *e);
/* Puts @name on bridge @bridge; nothing to do if it is there. -EBUSY if it is on another. */
int link_join(const char *name, const char *bridge, struct err *e);
int link_up(const char *name, struct err *e);
int link_set_mac(const char *name, const uint8_t mac[6], struct err *e);

#endif
