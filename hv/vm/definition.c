/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the keys of a guest's definition (see definition.h): the three tables below. Must never
 * judge a value beyond its form: vm_config_check() does, whatever way a value came.
 * Next in the flow: config.c.
 */
#include "hv/vm/definition.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hv/base/size.h"
#include "hv/vm/place.h"

/* How a key's value is written. */
enum def_kind {
	DEF_TEXT,
	DEF_PATH,
	DEF_SERIAL, /* a text, or "file:" and a path */
	DEF_COUNT,
	DEF_SWITCH,
	DEF_MEMORY,
	DEF_MAC,
	DEF_TRACKING,
	DEF_PLACE, /* "any", or as place.h has it */
	DEF_CONSOLE,
};

struct def_key {
	const char *key;
	enum def_kind kind;
	size_t offset, size;
	uint64_t lo, hi; /* of a count */
};

#define DEF_FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)

static const struct def_key def_guest[] = {
	{ "name", DEF_TEXT, DEF_FIELD(vm_config, name), 0, 0 },
	{ "cpus", DEF_COUNT, DEF_FIELD(vm_config, cpus), 1, VM_CPUS_MAX },
	{ "vcpu-cpus", DEF_PLACE, DEF_FIELD(vm_config, place), 0, 0 },
	{ "memory", DEF_MEMORY, 0, 0, 0, 0 },
	{ "kernel", DEF_PATH, DEF_FIELD(vm_config, kernel), 0, 0 },
	{ "initrd", DEF_PATH, DEF_FIELD(vm_config, initrd), 0, 0 },
	{ "append", DEF_TEXT, DEF_FIELD(vm_config, append), 0, 0 },
	{ "serial", DEF_SERIAL, DEF_FIELD(vm_config, serial), 0, 0 },
	{ "console", DEF_CONSOLE, 0, 0, 0, 0 },
	{ "dirty-tracking", DEF_TRACKING, 0, 0, 0, 0 },
	{ "overcommit", DEF_SWITCH, DEF_FIELD(vm_config, overcommit), 0, 0 },
};
static const struct def_key def_disk[] = {
	{ "path", DEF_PATH, DEF_FIELD(vm_disk, path), 0, 0 },
	{ "readonly", DEF_SWITCH, DEF_FIELD(vm_disk, readonly), 0, 0 },
	{ "serial", DEF_TEXT, DEF_FIELD(vm_disk, serial), 0, 0 },
	{ "direct", DEF_SWITCH, DEF_FIELD(vm_disk, direct), 0, 0 },
	{ "queues", DEF_COUNT, DEF_FIELD(vm_disk, queues), 1, VM_QUEUES_MAX },
};
static const struct def_key def_net[] = {
	{ "tap", DEF_TEXT, DEF_FIELD(vm_net, tap), 0, 0 },
	{ "bridge", DEF_TEXT, DEF_FIELD(vm_net, bridge), 0, 0 },
	{ "mac", DEF_MAC, DEF_FIELD(vm_net, mac), 0, 0 },
	{ "queues", DEF_COUNT, DEF_FIELD(vm_net, queues), 1, VM_QUEUES_MAX },
};

#define DEF_LIST(list) list, sizeof(list) / sizeof(list[0])
static const struct {
	const char *name;
	const struct def_key *keys;
	size_t n;
} def_sections[VM_DEF_SECTIONS] = {
	[VM_DEF_GUEST] = { "guest", DEF_LIST(def_guest) },
	[VM_DEF_DISK] = { "disk", DEF_LIST(def_disk) },
	[VM_DEF_NET] = { "net", DEF_LIST(def_net) },
};

static const char *const def_tracking[] = {
	[VM_TRACKING_AUTO] = "auto",
	[VM_TRACKING_RING] = "ring",
	[VM_TRACKING_LOG] = "log",
};

static const char *const def_console[] = {
	[VM_CONSOLE_SERIAL] = "serial",
	[VM_CONSOLE_VIRTIO] = "virtio",
};

const char *vm_console_name(enum vm_console c)
{
	return def_console[c];
}

const char *vm_def_section_name(enum vm_def_section s)
{
	return def_sections[s].name;
}

void vm_def_init(struct vm_config *c)
{
	memset(c, 0, sizeof(*c));
	c->cpus = 1;
	c->memory = 512u << 20;
	strcpy(c->serial, "stdio");
}

/* ---- setting --------------------------------------------------------------------------------- */

static int def_text(const struct def_key *k, char *dst, const char *value, struct err *e)
{
	size_t n = strlen(value);

	if (n >= k->size)
		return err_set(e, -EINVAL, "%s is %zu bytes long; %zu are allowed", k->key, n,
			k->size - 1);
	memcpy(dst, value, n + 1);
	return 0;
}

/* Absolute, so that it is still right for a process with another working directory. */
static int def_path(const struct def_key *k, char *dst, const char *prefix, const char *dir,
	const char *path, struct err *e)
{
	char full[2 * VM_PATH_MAX];

	if (path[0] == '/' || path[0] == '\0')
		dir = "";
	if (snprintf(full, sizeof(full), "%s%s%s%s", prefix, dir, dir[0] ? "/" : "", path) >=
		(int)sizeof(full))
		return err_set(e, -EINVAL, "%s is longer than %zu bytes", k->key, k->size - 1);
	return def_text(k, dst, full, e);
}

static int def_mac(uint8_t *mac, const char *value, struct err *e)
{
	uint8_t byte[6];
	char end;

	if (strlen(value) != 17 ||
		sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &byte[0], &byte[1], &byte[2],
			&byte[3], &byte[4], &byte[5], &end) != 6)
		return err_set(e, -EINVAL,
			"mac '%s' is not six bytes in hexadecimal like 02:00:00:00:00:01", value);
	memcpy(mac, byte, sizeof(byte));
	return 0;
}

static int def_switch(const struct def_key *k, bool *on, const char *value, struct err *e)
{
	*on = strcmp(value, "on") == 0;
	if (*on || strcmp(value, "off") == 0)
		return 0;
	return err_set(e, -EINVAL, "%s '%s' is neither on nor off", k->key, value);
}

static int def_track(struct vm_config *c, const char *value, struct err *e)
{
	for (size_t i = 0; i < sizeof(def_tracking) / sizeof(def_tracking[0]); i++) {
		if (strcmp(value, def_tracking[i]) != 0)
			continue;
		c->tracking = (enum vm_tracking)i;
		return 0;
	}
	return err_set(e, -EINVAL, "dirty tracking '%s' is none of auto, ring, log", value);
}

/* Numbers of vCPUs are judged with the key "cpus", by vm_config_check(). */
static int def_place(const struct def_key *k, char *dst, const char *value, struct err *e)
{
	int rc;

	if (strcmp(value, "any") == 0)
		return def_text(k, dst, "", e);
	if (value[0] == '\0')
		return err_set(e, -EINVAL, "%s is empty; \"any\" is no placement", k->key);
	rc = place_check(value, VM_CPUS_MAX, e);
	return rc ? rc : def_text(k, dst, value, e);
}

static int def_line(struct vm_config *c, const char *value, struct err *e)
{
	for (size_t i = 0; i < sizeof(def_console) / sizeof(def_console[0]); i++) {
		if (strcmp(value, def_console[i]) != 0)
			continue;
		c->console = (enum vm_console)i;
		return 0;
	}
	return err_set(e, -EINVAL, "console '%s' is neither serial nor virtio", value);
}

static int def_value(struct vm_config *c, const struct def_key *k, void *field, const char *value,
	const char *dir, struct err *e)
{
	uint64_t n;
	int r;

	switch (k->kind) {
	case DEF_TEXT: return def_text(k, field, value, e);
	case DEF_PATH: return def_path(k, field, "", dir, value, e);
	case DEF_SERIAL:
		if (strncmp(value, "file:", 5) == 0)
			return def_path(k, field, "file:", dir, value + 5, e);
		return def_text(k, field, value, e);
	case DEF_COUNT:
		r = number_parse(value, k->key, k->lo, k->hi, &n, e);
		if (r == 0)
			*(unsigned *)field = (unsigned)n;
		return r;
	case DEF_SWITCH: return def_switch(k, field, value, e);
	case DEF_MEMORY:
		c->backing = (struct backing){ 0 };
		return backing_parse(value, &c->memory, &c->backing, e);
	case DEF_MAC: return def_mac(field, value, e);
	case DEF_TRACKING: return def_track(c, value, e);
	case DEF_PLACE: return def_place(k, field, value, e);
	case DEF_CONSOLE: return def_line(c, value, e);
	}
	return -EINVAL;
}

/* Disks and nets of a name, made where it is new. */
static void *def_disk_of(struct vm_config *c, const char *name, struct err *e)
{
	struct vm_disk *d;

	for (unsigned i = 0; i < c->ndisks; i++) {
		if (strcmp(c->disks[i].name, name) == 0)
			return &c->disks[i];
	}
	if (c->ndisks == VM_DISKS_MAX || strlen(name) >= sizeof(d->name)) {
		err_set(e, -ENOSPC,
			"disk '%s' is one too many, or its name is longer than %d characters: there "
			"is room for %d disks",
			name, VM_DEVICE_NAME_MAX - 1, VM_DISKS_MAX);
		return NULL;
	}
	d = &c->disks[c->ndisks++];
	*d = (struct vm_disk){ .queues = 1 };
	strcpy(d->name, name);
	return d;
}

static void *def_net_of(struct vm_config *c, const char *name, struct err *e)
{
	struct vm_net *n;

	for (unsigned i = 0; i < c->nnets; i++) {
		if (strcmp(c->nets[i].name, name) == 0)
			return &c->nets[i];
	}
	if (c->nnets == VM_NETS_MAX || strlen(name) >= sizeof(n->name)) {
		err_set(e, -ENOSPC,
			"net '%s' is one too many, or its name is longer than %d characters: there "
			"is room for %d nets",
			name, VM_DEVICE_NAME_MAX - 1, VM_NETS_MAX);
		return NULL;
	}
	n = &c->nets[c->nnets++];
	*n = (struct vm_net){ .queues = 1 };
	strcpy(n->name, name);
	return n;
}

static int def_unknown(enum vm_def_section s, const char *key, struct err *e)
{
	char known[160] = "";

	for (size_t i = 0; i < def_sections[s].n; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, def_sections[s].keys[i].key);
	}
	return err_set(
		e, -EINVAL, "unknown key '%s': a %s has %s", key, def_sections[s].name, known);
}

int vm_def_set(struct vm_config *c, enum vm_def_section s, const char *name, const char *key,
	const char *value, const char *dir, struct err *e)
{
	void *base = s == VM_DEF_GUEST  ? c
		     : s == VM_DEF_DISK ? def_disk_of(c, name, e)
					: def_net_of(c, name, e);

	if (!base)
		return e ? e->code : -ENOSPC;
	for (size_t i = 0; key && i < def_sections[s].n; i++) {
		const struct def_key *k = &def_sections[s].keys[i];

		if (strcmp(k->key, key) == 0)
			return def_value(c, k, (char *)base + k->offset, value, dir, e);
	}
	return key ? def_unknown(s, key, e) : 0;
}

void vm_def_finish(struct vm_config *c)
{
	static const uint8_t none[6];

	for (unsigned i = 0; i < c->nnets; i++) {
		if (memcmp(c->nets[i].mac, none, sizeof(none)) == 0)
			vm_net_mac(c->nets[i].mac, c->name, c->nets[i].name);
	}
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Fills in form, text and number; @buf has room for BACKING_TEXT_MAX. */
static void def_item(struct vm_def_item *it, const struct vm_config *c, const struct def_key *k,
	const void *field, char *buf)
{
	const uint8_t *m = field;

	it->key = k->key;
	it->form = VM_DEF_TEXT;
	it->text = buf;
	it->number = 0;
	switch (k->kind) {
	case DEF_TEXT:
	case DEF_PATH:
	case DEF_SERIAL: it->text = field; break;
	case DEF_COUNT:
		it->form = VM_DEF_NUMBER;
		it->number = *(const unsigned *)field;
		sprintf(buf, "%u", *(const unsigned *)field);
		break;
	case DEF_SWITCH:
		it->form = VM_DEF_SWITCH;
		it->number = *(const bool *)field;
		it->text = it->number ? "on" : "off";
		break;
	case DEF_MEMORY: backing_format(c->memory, &c->backing, buf); break;
	case DEF_MAC:
		sprintf(buf, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
		break;
	case DEF_TRACKING: it->text = def_tracking[c->tracking]; break;
	case DEF_PLACE: it->text = c->place[0] ? c->place : "any"; break;
	case DEF_CONSOLE: it->text = def_console[c->console]; break;
	}
}

static void def_each(const struct vm_config *c, struct vm_def_item it, const void *base,
	void (*fn)(void *arg, const struct vm_def_item *i), void *arg)
{
	char buf[BACKING_TEXT_MAX];

	fn(arg, &it);
	for (size_t i = 0; i < def_sections[it.section].n; i++) {
		const struct def_key *k = &def_sections[it.section].keys[i];

		def_item(&it, c, k, (const char *)base + k->offset, buf);
		if (it.text[0])
			fn(arg, &it);
	}
}

void vm_def_each(
	const struct vm_config *c, void (*fn)(void *arg, const struct vm_def_item *i), void *arg)
{
	def_each(c, (struct vm_def_item){ .section = VM_DEF_GUEST }, c, fn, arg);
	for (unsigned i = 0; i < c->ndisks; i++)
		def_each(c,
			(struct vm_def_item){ .section = VM_DEF_DISK, .name = c->disks[i].name },
			&c->disks[i], fn, arg);
	for (unsigned i = 0; i < c->nnets; i++)
		def_each(c, (struct vm_def_item){ .section = VM_DEF_NET, .name = c->nets[i].name },
			&c->nets[i], fn, arg);
}
