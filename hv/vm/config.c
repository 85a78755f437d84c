/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what a guest is made of: checking it, and its travelling form, the section "config". Must
 * never believe a field that came from a peer. Invariant: what check accepts, encode and decode
 * carry over unchanged.
 * Next in the flow: config_devices.c (disks and nets), vm.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "hv/base/section.h"
#include "hv/mem/gmem.h"
#include "hv/vm/config_parts.h"
#include "hv/vm/place.h"

#define CONFIG_SECTION "config"
#define CONFIG_VERSION 5u

/* The text fields, in the order in which they travel after name, cpus and memory. */
static const struct {
	const char *name;
	size_t offset, size;
} config_text[] = {
	{ "kernel", offsetof(struct vm_config, kernel), VM_PATH_MAX },
	{ "initrd", offsetof(struct vm_config, initrd), VM_PATH_MAX },
	{ "append", offsetof(struct vm_config, append), VM_CMDLINE_MAX },
	{ "serial", offsetof(struct vm_config, serial), VM_PATH_MAX },
};
#define CONFIG_TEXTS (sizeof(config_text) / sizeof(config_text[0]))

static const char *config_text_get(const struct vm_config *c, size_t i)
{
	return (const char *)c + config_text[i].offset;
}

/* It becomes part of file names and an argument of commands. */
int config_check_name(const char *what, const char *name, size_t size, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	if (memchr(name, '\0', size) == NULL)
		return err_set(e, -EINVAL, "%s name is longer than %zu characters", what, size - 1);
	if (name[0] == '\0')
		return err_set(e, -EINVAL, "%s name is empty", what);
	if (name[strspn(name, allowed)] != '\0')
		return err_set(e, -EINVAL,
			"%s name '%s': only letters, digits, '.', '_' and '-' are allowed", what,
			name);
	if (name[0] == '.' || name[0] == '-')
		return err_set(
			e, -EINVAL, "%s name '%s' must not start with '%c'", what, name, name[0]);
	return 0;
}

/* Control characters do not travel (rbuf_str()), and have no place on a command line. */
int config_check_text(const char *what, const char *s, size_t size, struct err *e)
{
	if (memchr(s, '\0', size) == NULL)
		return err_set(e, -EINVAL, "%s is longer than %zu characters", what, size - 1);
	for (const char *p = s; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(e, -EINVAL,
				"%s holds the control character 0x%02x at position %zu", what,
				(unsigned char)*p, (size_t)(p - s));
	}
	return 0;
}

static int config_check_serial(const char *s, struct err *e)
{
	if (strcmp(s, "stdio") == 0 || strcmp(s, "none") == 0 || strcmp(s, "socket") == 0)
		return 0;
	if (strncmp(s, "file:", 5) == 0 && s[5] != '\0')
		return 0;
	return err_set(e, -EINVAL, "serial '%s' is not one of stdio, socket, file:PATH, none", s);
}

int vm_config_check(const struct vm_config *c, struct err *e)
{
	int r = config_check_name("the guest's", c->name, VM_NAME_MAX, e);

	if (r)
		return r;
	if (c->cpus < 1 || c->cpus > VM_CPUS_MAX)
		return err_set(
			e, -EINVAL, "%u vCPUs are out of range: 1 to %d", c->cpus, VM_CPUS_MAX);
	/* The range only; whether it fits this host now, vm_new() asks. */
	r = gmem_check_size(c->memory, true, e);
	if (!r)
		r = backing_valid(&c->backing, c->memory, e);
	for (size_t i = 0; r == 0 && i < CONFIG_TEXTS; i++)
		r = config_check_text(
			config_text[i].name, config_text_get(c, i), config_text[i].size, e);
	if (r)
		return r;
	if (c->kernel[0] == '\0')
		return err_set(e, -EINVAL, "no kernel is given");
	if (c->tracking > VM_TRACKING_LOG)
		return err_set(e, -EINVAL, "dirty tracking %d is unknown", (int)c->tracking);
	if (c->console > VM_CONSOLE_VIRTIO)
		return err_set(e, -EINVAL, "console %d is unknown", (int)c->console);
	r = config_check_serial(c->serial, e);
	if (!r)
		r = place_check(c->place, c->cpus, e);
	return r ? r : config_check_devices(c, e);
}

void vm_config_encode(const struct vm_config *c, struct wbuf *w)
{
	size_t at = section_begin(w, CONFIG_SECTION, 0, CONFIG_VERSION);

	wbuf_str(w, c->name);
	wbuf_u32(w, c->cpus);
	wbuf_u64(w, c->memory);
	for (size_t i = 0; i < CONFIG_TEXTS; i++)
		wbuf_str(w, config_text_get(c, i));
	wbuf_u64(w, c->backing.page);
	wbuf_u64(w, c->backing.nodes);
	wbuf_u8(w, c->backing.thp);
	wbuf_u8(w, c->backing.prealloc);
	config_encode_devices(c, w);
	wbuf_bytes(w, c->uuid, sizeof(c->uuid));
	wbuf_u8(w, (uint8_t)c->console);
	section_end(w, at);
}

/* Since version 2. */
static int config_read_backing(struct vm_config *c, struct rbuf *b, struct err *e)
{
	uint8_t thp, prealloc;

	c->backing.page = rbuf_u64(b);
	c->backing.nodes = rbuf_u64(b);
	thp = rbuf_u8(b);
	prealloc = rbuf_u8(b);
	if (b->failed || thp > 1 || prealloc > 1)
		return err_set(
			e, -EPROTO, "the guest's description: the kind of memory is malformed");
	c->backing.thp = thp;
	c->backing.prealloc = prealloc;
	return 0;
}

/* Since version 4. */
static int config_read_uuid(struct vm_config *c, struct rbuf *b, struct err *e)
{
	const void *uuid = rbuf_bytes(b, sizeof(c->uuid));

	if (!uuid)
		return err_set(e, -EPROTO, "the guest's description: the identity is malformed");
	memcpy(c->uuid, uuid, sizeof(c->uuid));
	return 0;
}

/* Since version 5. */
static int config_read_console(struct vm_config *c, struct rbuf *b, struct err *e)
{
	uint8_t console = rbuf_u8(b);

	if (b->failed || console > VM_CONSOLE_VIRTIO)
		return err_set(e, -EPROTO, "the guest's description: the console is malformed");
	c->console = (enum vm_console)console;
	return 0;
}

static int config_read(struct vm_config *c, struct rbuf *b, struct err *e)
{
	rbuf_str(b, c->name, sizeof(c->name));
	if (b->failed)
		return err_set(e, -EPROTO, "the guest's description: the name is malformed");
	c->cpus = rbuf_u32(b);
	c->memory = rbuf_u64(b);
	if (b->failed)
		return err_set(
			e, -EPROTO, "the guest's description ends after the name '%s'", c->name);
	for (size_t i = 0; i < CONFIG_TEXTS; i++) {
		rbuf_str(b, (char *)c + config_text[i].offset, config_text[i].size);
		if (b->failed)
			return err_set(e, -EPROTO, "the guest's description: %s is malformed",
				config_text[i].name);
	}
	return 0;
}

int vm_config_decode(struct vm_config *c, struct rbuf *r, struct err *e)
{
	struct section s;
	int rc;

	memset(c, 0, sizeof(*c));
	rc = section_next(r, &s, e);
	if (rc < 0)
		return err_wrap(e, "the guest's description");
	if (rc == 0)
		return err_set(e, -EPROTO, "the guest's description is empty");
	if (strcmp(s.name, CONFIG_SECTION) != 0 || s.instance != 0)
		return err_set(e, -EPROTO,
			"the guest's description is a section '%s' (instance %u), expected is '%s'",
			s.name, s.instance, CONFIG_SECTION);
	if ((rc = section_version(&s, CONFIG_VERSION, e)) || (rc = config_read(c, &s.body, e)) ||
		(s.version >= 2 && (rc = config_read_backing(c, &s.body, e))) ||
		(s.version >= 3 && (rc = config_read_devices(c, &s.body, e))) ||
		(s.version >= 4 && (rc = config_read_uuid(c, &s.body, e))) ||
		(s.version >= 5 && (rc = config_read_console(c, &s.body, e))) ||
		(rc = section_done(&s, e)))
		return rc;
	if (rbuf_left(r))
		return err_set(e, -EPROTO, "the guest's description is followed by %zu more bytes",
			rbuf_left(r));
	rc = vm_config_check(c, e);
	return rc ? err_wrap(e, "the guest's description") : 0;
}
