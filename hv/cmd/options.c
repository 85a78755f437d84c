/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the checks of option values that several commands share (see cmd.h). */
#include <errno.h>
#include <string.h>

#include "hv/cmd/cmd.h"
#include "hv/vm/definition.h"

int cmd_guest_key(struct vm_config *c, const char *key, const char *text, struct err *e)
{
	return text ? vm_def_set(c, VM_DEF_GUEST, NULL, key, text, "", e) : 0;
}

int cmd_copy(char *dst, size_t size, const char *text, const char *what, struct err *e)
{
	size_t n = strlen(text);

	if (n >= size)
		return err_set(e, -ENAMETOOLONG, "%s is %zu bytes long; %zu are allowed", what, n,
			size - 1);
	memcpy(dst, text, n + 1);
	return 0;
}
