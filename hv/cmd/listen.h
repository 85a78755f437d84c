/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket of receive, and the question whom it lets in. */
#ifndef WATARI_CMD_LISTEN_H
#define WATARI_CMD_LISTEN_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/ctl/addr.h"

/*
 * Listens on @text (without a host: 127.0.0.1) and puts the numeric address and port it got into
 * @got, of CTL_ADDR_MAX bytes. An address that is not loopback needs @trust. Returns a
 * non-blocking descriptor.
 */
int listen_open(const char *text, bool trust, char *got, struct err *e);

#endif
