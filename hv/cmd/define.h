/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that define a guest: one for every key of its definition, and the file or the kept
 * definition below them. Used as an argp child.
 * Next in the flow: hv/vm/definition.h, inifile.h.
 */
#ifndef WATARI_CMD_DEFINE_H
#define WATARI_CMD_DEFINE_H

#include <argp.h>

#include "hv/cmd/inifile.h"

#define DEFINE_FLAGS 64 /* options on one command line */

struct define_flag {
	const char *key, *value;
};

struct define_args {
	const char *source; /* NAME or FILE; NULL: options alone */
	struct define_flag flag[DEFINE_FLAGS];
	unsigned n;
};

extern const struct argp define_argp; /* its input is a struct define_args */

/* The value of option @key, or NULL. */
const char *define_flag(const struct define_args *a, const char *key);

/*
 * What the options say, over what the source says, over the defaults; not checked yet. @m is the
 * source's.
 */
int define_config(
	const struct define_args *a, struct vm_config *c, struct inifile_moved *m, struct err *e);
/* A file or a kept definition alone, complete. For show. */
int define_source(const char *source, struct vm_config *c, struct inifile_moved *m, struct err *e);

#endif
