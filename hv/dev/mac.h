/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAC addresses: text, and one made from a name for a card that was given none.
 */
#ifndef WATARI_DEV_MAC_H
#define WATARI_DEV_MAC_H

#include <stdint.h>

#include "hv/base/err.h"

#define MAC_SIZE     6
#define MAC_TEXT_MAX 18 /* "02:00:00:00:00:00" and NUL */

struct mac {
	uint8_t b[MAC_SIZE];
};

/* "aa:bb:cc:dd:ee:ff", either case. -EINVAL for other text, a group address, or all zero. */
int mac_parse(const char *text, struct mac *out, struct err *e);
const char *mac_format(const struct mac *m, char text[MAC_TEXT_MAX]);
/*
 * The same address for the same two names, on every host and in every version: locally
 * administered (first byte 02), the rest a hash (40 bits) of guest and card.
 */
struct mac mac_from_name(const char *guest, const char *card);

#endif
