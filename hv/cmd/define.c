/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the options of a definition (see define.h). Must never give an option a meaning that the key
 * of its name has not.
 * Next in the flow: run.c.
 */
#include "hv/cmd/define.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/cmd/cmd.h"
#include "hv/cmd/state_dir.h"
#include "hv/vm/definition.h"

enum {
	DEFINE_NAME = 'n',
	DEFINE_MEMORY = 'm',
	DEFINE_KERNEL = 'k',
	DEFINE_CPUS = 512,
	DEFINE_PLACE,
	DEFINE_INITRD,
	DEFINE_APPEND,
	DEFINE_SERIAL,
	DEFINE_CONSOLE,
	DEFINE_DISK,
	DEFINE_NET,
	DEFINE_TRACKING,
	DEFINE_OVERCOMMIT
};

static const struct argp_option define_options[] = {
	{ .name = "name",
		.key = DEFINE_NAME,
		.arg = "NAME",
		.doc = "What the guest is called on this host" },
	{ .name = "cpus", .key = DEFINE_CPUS, .arg = "N", .doc = "Virtual CPUs (default 1)" },
	{ .name = "vcpu-cpus",
		.key = DEFINE_PLACE,
		.arg = "CPUS|VCPU:CPUS[,...]|any",
		.doc = "Where the threads of the virtual CPUs run: \"0-3,8\" for all, \"0:2,1:3\" one "
		       "by one, \"node:0\" a NUMA node's CPUs (default any)" },
	{ .name = "memory",
		.key = DEFINE_MEMORY,
		.arg = "SIZE[,KIND...]",
		.doc = "Guest memory, for example 12G (default 512M); KIND is hugepages=2M|1G, thp=on, "
		       "numa=N[,N...], prealloc=on" },
	{ .name = "kernel",
		.key = DEFINE_KERNEL,
		.arg = "FILE",
		.doc = "A Linux bzImage or an ELF with a PVH entry" },
	{ .name = "initrd", .key = DEFINE_INITRD, .arg = "FILE", .doc = "Initial RAM disk" },
	{ .name = "append", .key = DEFINE_APPEND, .arg = "TEXT", .doc = "Kernel command line" },
	{ .name = "serial",
		.key = DEFINE_SERIAL,
		.arg = "stdio|socket|file:PATH|none",
		.doc = "Where the console leads (default stdio; detached: socket)" },
	{ .name = "console",
		.key = DEFINE_CONSOLE,
		.arg = "serial|virtio",
		.doc = "What of the guest that is: its serial port, or its hvc0 (default serial)" },
	{ .name = "disk",
		.key = DEFINE_DISK,
		.arg = "NAME,path=PATH[,KEY=VALUE...]",
		.doc = "A disk; KEY is path, readonly=on, serial, direct=on, queues. May be repeated" },
	{ .name = "net",
		.key = DEFINE_NET,
		.arg = "NAME[,KEY=VALUE...]",
		.doc = "A network interface; KEY is tap, bridge, mac, queues. May be repeated" },
	{ .name = "dirty-tracking",
		.key = DEFINE_TRACKING,
		.arg = "auto|ring|log",
		.doc = "How a move finds pages the guest wrote (default auto)" },
	{ .name = "overcommit",
		.key = DEFINE_OVERCOMMIT,
		.arg = "on|off",
		.flags = OPTION_ARG_OPTIONAL,
		.doc = "Do not refuse a guest larger than the memory that is free" },
	{ 0 },
};

static error_t define_option(int key, char *arg, struct argp_state *state)
{
	struct define_args *a = state->input;

	if (key == ARGP_KEY_ARG) {
		cmd_take_name(&a->source, arg, state);
		return 0;
	}
	for (const struct argp_option *o = define_options; o->name; o++) {
		if (o->key != key)
			continue;
		if (a->n == DEFINE_FLAGS)
			argp_error(state, "more than %d options", DEFINE_FLAGS);
		a->flag[a->n++] = (struct define_flag){ o->name, arg ? arg : "on" };
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp define_argp = { .options = define_options, .parser = define_option };

const char *define_flag(const struct define_args *a, const char *key)
{
	const char *value = NULL;

	for (unsigned i = 0; i < a->n; i++) {
		if (strcmp(a->flag[i].key, key) == 0)
			value = a->flag[i].value;
	}
	return value;
}

/* Whether NAME of "NAME,..." was in an option of the same kind before number @i. */
static bool define_again(const struct define_args *a, unsigned i)
{
	const char *v = a->flag[i].value;
	size_t n = strcspn(v, ",");

	for (unsigned k = 0; k < i; k++) {
		const char *w = a->flag[k].value;

		if (strcmp(a->flag[k].key, a->flag[i].key) == 0 && strcspn(w, ",") == n &&
			strncmp(v, w, n) == 0)
			return true;
	}
	return false;
}

/* "NAME,KEY=VALUE,...": key by key over what is there already. */
static int define_device(const struct define_args *a, unsigned i, enum vm_def_section s,
	struct vm_config *c, const char *dir, struct err *e)
{
	const char *option = a->flag[i].key;
	char *copy = strdup(a->flag[i].value), *next = copy, *name;
	int rc;

	if (!copy)
		return err_set(e, -ENOMEM, "no memory for the options");
	name = strsep(&next, ",");
	if (define_again(a, i))
		rc = err_set(e, -EINVAL, "--%s %s is given twice", option, name);
	else if (name[0] == '\0' || strchr(name, '='))
		rc = err_set(e, -EINVAL, "--%s '%s' does not begin with the name of a %s", option,
			a->flag[i].value, option);
	else
		rc = vm_def_set(c, s, name, NULL, NULL, dir, e);
	while (rc == 0 && next) {
		char *key = strsep(&next, ","), *value = strchr(key, '=');

		if (value)
			*value++ = '\0';
		rc = value ? vm_def_set(c, s, name, key, value, dir, e)
			   : err_set(e, -EINVAL, "'%s' is not KEY=VALUE", key);
		if (rc)
			err_wrap(e, "--%s %s", option, name);
	}
	free(copy);
	return rc;
}

static int define_read(
	const char *source, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	*m = (struct inifile_moved){ .to = "" };
	if (!state_is_file(source))
		return state_load(source, c, m, e);
	vm_def_init(c);
	return inifile_read(source, c, m, e);
}

int define_config(
	const struct define_args *a, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	char dir[PATH_MAX];
	int rc = 0;

	vm_def_init(c);
	*m = (struct inifile_moved){ .to = "" };
	if (!getcwd(dir, sizeof(dir)))
		return err_errno(e, "cannot tell the current directory");
	if (a->source)
		rc = define_read(a->source, c, m, e);
	for (unsigned i = 0; rc == 0 && i < a->n; i++) {
		const struct define_flag *f = &a->flag[i];

		if (strcmp(f->key, "disk") == 0)
			rc = define_device(a, i, VM_DEF_DISK, c, dir, e);
		else if (strcmp(f->key, "net") == 0)
			rc = define_device(a, i, VM_DEF_NET, c, dir, e);
		else
			rc = vm_def_set(c, VM_DEF_GUEST, NULL, f->key, f->value, dir, e);
	}
	vm_def_finish(c);
	c->persistent = a->source != NULL;
	return rc;
}

int define_source(const char *source, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	int rc = define_read(source, c, m, e);

	if (rc)
		return rc;
	vm_def_finish(c);
	c->persistent = true;
	rc = vm_config_check(c, e);
	return rc ? err_wrap(e, "%s", source) : 0;
}
