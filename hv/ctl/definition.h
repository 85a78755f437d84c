/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's definition as JSON: {"guest":{KEY:VALUE...},"disk":{NAME:{...}},"net":{NAME:{...}}},
 * the keys of hv/vm/definition.h; numbers are numbers, switches are booleans, all else is text.
 * Next in the flow: guest.c answers with it, hv/cmd/show.c reads it.
 */
#ifndef WATARI_CTL_DEFINITION_H
#define WATARI_CTL_DEFINITION_H

#include <jansson.h>

#include "hv/vm/config.h"

/* NULL without memory, or if a text is no UTF-8. The caller owns it. */
json_t *ctl_definition_json(const struct vm_config *c);
/* The reverse, into a definition prepared by vm_def_init(); checked. -EPROTO, -EINVAL. */
int ctl_definition_read(const json_t *j, struct vm_config *c, struct err *e);

#endif
