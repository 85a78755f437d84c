/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definitions this host keeps: NAME.ini in the state directory, ctl_state_dir()
 * of hv/ctl/history.h. One is there whether its guest
 * runs, has stopped, or has left; after it left the copy says where it went.
 * Next in the flow: inifile.h (their form); run.c, incoming.c and guest_main.c write them.
 */
#ifndef WATARI_CMD_STATE_DIR_H
#define WATARI_CMD_STATE_DIR_H

#include <stdbool.h>

#include "hv/cmd/inifile.h"

/*
 * Writes the definition, on disk as a whole or not at all when this returns; makes the directory,
 * with mode 0700, if it is not there. @m as of inifile_print().
 */
int state_keep(const struct vm_config *c, const struct inifile_moved *m, struct err *e);
/* Reads that of @name. -ENOENT with a sentence: there is none. */
int state_load(const char *name, struct vm_config *c, struct inifile_moved *m, struct err *e);
/* Now, in UTC. */
void state_moved(struct inifile_moved *m, const char *to);

/* Whether an argument names a file: it has a slash, or ends in ".ini". Else it is a guest's name.
 */
bool state_is_file(const char *arg);

#endif
