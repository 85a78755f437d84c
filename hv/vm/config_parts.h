/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files that check and carry a guest's definition share; nobody else includes it.
 * Next in the flow: config.c, config_devices.c.
 */
#ifndef WATARI_VM_CONFIG_PARTS_H
#define WATARI_VM_CONFIG_PARTS_H

#include <stddef.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/vm/config.h"

/* config.c. Errors name @what; @size is that of the field, which may lack its NUL. -EINVAL. */
int config_check_name(const char *what, const char *name, size_t size, struct err *e);
int config_check_text(const char *what, const char *s, size_t size, struct err *e);

/* config_devices.c: disks and nets. Reading gives -EPROTO; what was read is still to be checked. */
int config_check_devices(const struct vm_config *c, struct err *e);
void config_encode_devices(const struct vm_config *c, struct wbuf *w);
int config_read_devices(struct vm_config *c, struct rbuf *b, struct err *e);

#endif
