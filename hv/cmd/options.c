/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the checks of option values that several commands share (see cmd.h). */
#include <errno.h>
#include <string.h>

#include "hv/cmd/cmd.h"

int cmd_tracking_parse(const char *text, enum vm_tracking *out, struct err *e)
{
	static const char *const names[] = {
		[VM_TRACKING_AUTO] = "auto",
		[VM_TRACKING_RING] = "ring",
		[VM_TRACKING_LOG] = "log",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum vm_tracking)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "dirty tracking '%s' is none of auto, ring, log", text);
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
