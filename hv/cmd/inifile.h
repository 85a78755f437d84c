/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's definition as an INI file: [guest], [disk NAME], [net NAME], and [moved] in the copy of
 * a host that the guest has left. The only user of libini_config.
 * Next in the flow: hv/vm/definition.h (the keys), state_dir.h (where such files are kept).
 */
#ifndef WATARI_CMD_INIFILE_H
#define WATARI_CMD_INIFILE_H

#include <stdio.h>

#include "hv/ctl/addr.h"
#include "hv/vm/config.h"

/* Where a guest went; to "": it did not. */
struct inifile_moved {
	char to[CTL_ADDR_MAX];
	char at[32]; /* UTC, ISO 8601 */
};

/*
 * Reads @path into @c, which vm_def_init() has prepared, and @m. What is wrong is named with file
 * and line: no INI, keys or sections that are unknown or there twice, bad values. Whether the
 * whole makes a guest is not checked. Relative paths in it begin where the file is.
 */
int inifile_read(const char *path, struct vm_config *c, struct inifile_moved *m, struct err *e);
/* The same of @n bytes that are called @path in errors. For tests, too. */
int inifile_parse(const char *path, char *text, size_t n, struct vm_config *c,
	struct inifile_moved *m, struct err *e);
/* Prints what inifile_read() reads back as the same. @m may be NULL. */
void inifile_print(FILE *to, const struct vm_config *c, const struct inifile_moved *m);

#endif
