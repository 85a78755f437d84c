/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's identity: 16 random bytes (RFC 9562, version 4), made when it is started and the same
 * wherever it moves. Next in the flow: hv/vm/config.h.
 */
#ifndef WATARI_BASE_UUID_H
#define WATARI_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_SIZE 16
#define UUID_TEXT 37 /* bytes, NUL included */

/* All zero, which is nobody's, if the host has no randomness to give: -errno. */
int uuid_make(uint8_t uuid[UUID_SIZE]);
bool uuid_is_zero(const uint8_t uuid[UUID_SIZE]);
const char *uuid_format(const uint8_t uuid[UUID_SIZE], char out[UUID_TEXT]);
/* Exactly what uuid_format() writes. False: it is not. */
bool uuid_parse(const char *text, uint8_t uuid[UUID_SIZE]);

#endif
