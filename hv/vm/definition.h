/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's definition as text: sections, keys and values. One list of keys serves the flags of
 * the command line, the INI file and what is printed, so that none knows a key the others do not.
 * Knows no file format.
 * Invariant: what vm_def_each() tells, vm_def_set() takes, and the result is the same.
 * Next in the flow: config.h; hv/cmd/ini.h reads and writes files, hv/ctl/guest.c answers with it.
 */
#ifndef WATARI_VM_DEFINITION_H
#define WATARI_VM_DEFINITION_H

#include "hv/vm/config.h"

enum vm_def_section { VM_DEF_GUEST, VM_DEF_DISK, VM_DEF_NET, VM_DEF_SECTIONS };

/* "guest", "disk", "net". */
const char *vm_def_section_name(enum vm_def_section s);

/* "serial" or "virtio". */
const char *vm_console_name(enum vm_console c);

/* An empty definition: every key at its default, no name, no kernel, no devices. */
void vm_def_init(struct vm_config *c);

/*
 * Sets @key of a section to what @value says; @name is the disk's or net's, which is added if it is
 * new, and ignored for the guest. @key NULL only adds. Relative paths begin at @dir. -EINVAL names
 * key and value; -ENOSPC: too many devices.
 */
int vm_def_set(struct vm_config *c, enum vm_def_section s, const char *name, const char *key,
	const char *value, const char *dir, struct err *e);

/* Fills in what depends on other keys: addresses of nets that have none. */
void vm_def_finish(struct vm_config *c);

enum vm_def_form { VM_DEF_TEXT, VM_DEF_NUMBER, VM_DEF_SWITCH };
struct vm_def_item {
	enum vm_def_section section;
	const char *name; /* of the disk or net; NULL for the guest */
	const char *key;  /* NULL: a section begins */
	enum vm_def_form form;
	const char *text; /* "on" or "off" for a switch */
	uint64_t number;  /* of a number; a switch has 1 or 0 */
};
/* Tells every key that has a value, section by section. Texts are valid during the call. */
void vm_def_each(
	const struct vm_config *c, void (*fn)(void *arg, const struct vm_def_item *i), void *arg);

#endif
