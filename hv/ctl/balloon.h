/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request "balloon" of the control socket (docs/control-socket.md): what it sets, what it says.
 * Next in the flow: hv/vm/balloon.h.
 */
#ifndef WATARI_CTL_BALLOON_H
#define WATARI_CTL_BALLOON_H

#include <jansson.h>

#include "hv/vm/vm.h"

/* Does what key "size" of @request asks for, if it is there. -EINVAL, -ENODEV. */
int ctl_balloon_set(struct vm *vm, const json_t *request, struct err *e);
/* The answer; NULL without memory. */
json_t *ctl_balloon_json(struct vm *vm);

#endif
