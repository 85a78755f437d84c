/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the disks and nets of a guest's definition: checking them and their part of the section
 * "config" (since version 3). Must never open or look for what they name: that is this host's
 * business, and the devices'. Invariant: as in config.c.
 * Next in the flow: vm.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "hv/vm/config_parts.h"

/* A name that the kernel takes for an interface (its dev_valid_name()), or "". */
static int net_check_ifname(const char *what, const char *net, const char *s, struct err *e)
{
	if (memchr(s, '\0', VM_IFNAME_MAX) == NULL)
		return err_set(e, -EINVAL, "net '%s': %s is longer than %d characters", net, what,
			VM_IFNAME_MAX - 1);
	if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || strpbrk(s, "/:% "))
		return err_set(e, -EINVAL, "net '%s': %s '%s' cannot be an interface's name", net,
			what, s);
	return config_check_text(what, s, VM_IFNAME_MAX, e);
}

static int device_check_queues(const char *what, const char *name, unsigned queues, struct err *e)
{
	if (queues >= 1 && queues <= VM_QUEUES_MAX)
		return 0;
	return err_set(e, -EINVAL, "%s '%s': %u queues are out of range: 1 to %d", what, name,
		queues, VM_QUEUES_MAX);
}

static int disk_check(const struct vm_disk *d, struct err *e)
{
	int r = config_check_name("a disk's", d->name, sizeof(d->name), e);

	if (r == 0)
		r = config_check_text("path", d->path, sizeof(d->path), e);
	if (r == 0)
		r = config_check_text("serial", d->serial, sizeof(d->serial), e);
	if (r)
		return err_wrap(e, "disk '%.*s'", VM_DEVICE_NAME_MAX - 1, d->name);
	if (d->path[0] == '\0')
		return err_set(e, -EINVAL, "disk '%s' has no path", d->name);
	if (d->path[0] != '/')
		return err_set(
			e, -EINVAL, "disk '%s': path '%s' is not absolute", d->name, d->path);
	return device_check_queues("disk", d->name, d->queues, e);
}

static int net_check(const struct vm_net *n, struct err *e)
{
	static const uint8_t zero[6];
	int r = config_check_name("a net's", n->name, sizeof(n->name), e);

	if (r == 0)
		r = net_check_ifname("tap", n->name, n->tap, e);
	if (r == 0)
		r = net_check_ifname("bridge", n->name, n->bridge, e);
	if (r)
		return r;
	if ((n->mac[0] & 1) || memcmp(n->mac, zero, sizeof(zero)) == 0)
		return err_set(e, -EINVAL,
			"net '%s': %02x:%02x:%02x:%02x:%02x:%02x is not the address of one station",
			n->name, n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
	return device_check_queues("net", n->name, n->queues, e);
}

static int disk_check_unique(const struct vm_config *c, unsigned i, struct err *e)
{
	for (unsigned k = 0; k < i; k++) {
		if (strcasecmp(c->disks[k].name, c->disks[i].name) == 0)
			return err_set(e, -EINVAL, "two disks are called '%s'", c->disks[i].name);
	}
	return 0;
}

static int net_check_unique(const struct vm_config *c, unsigned i, struct err *e)
{
	const struct vm_net *n = &c->nets[i];

	for (unsigned k = 0; k < i; k++) {
		if (strcasecmp(c->nets[k].name, n->name) == 0)
			return err_set(e, -EINVAL, "two nets are called '%s'", n->name);
		if (n->tap[0] && strcmp(c->nets[k].tap, n->tap) == 0)
			return err_set(e, -EINVAL, "nets '%s' and '%s' have the same tap '%s'",
				c->nets[k].name, n->name, n->tap);
		if (memcmp(c->nets[k].mac, n->mac, sizeof(n->mac)) == 0)
			return err_set(e, -EINVAL, "nets '%s' and '%s' have the same mac",
				c->nets[k].name, n->name);
	}
	return 0;
}

int config_check_devices(const struct vm_config *c, struct err *e)
{
	int r = 0;

	if (c->ndisks > VM_DISKS_MAX || c->nnets > VM_NETS_MAX)
		return err_set(e, -EINVAL,
			"%u disks and %u nets are too many: up to %d and %d are possible",
			c->ndisks, c->nnets, VM_DISKS_MAX, VM_NETS_MAX);
	for (unsigned i = 0; r == 0 && i < c->ndisks; i++) {
		r = disk_check(&c->disks[i], e);
		if (r == 0)
			r = disk_check_unique(c, i, e);
	}
	for (unsigned i = 0; r == 0 && i < c->nnets; i++) {
		r = net_check(&c->nets[i], e);
		if (r == 0)
			r = net_check_unique(c, i, e);
	}
	return r;
}

void config_encode_devices(const struct vm_config *c, struct wbuf *w)
{
	wbuf_u8(w, (uint8_t)c->ndisks);
	for (unsigned i = 0; i < c->ndisks; i++) {
		const struct vm_disk *d = &c->disks[i];

		wbuf_str(w, d->name);
		wbuf_str(w, d->path);
		wbuf_str(w, d->serial);
		wbuf_u8(w, d->readonly);
		wbuf_u8(w, d->direct);
		wbuf_u8(w, (uint8_t)d->queues);
	}
	wbuf_u8(w, (uint8_t)c->nnets);
	for (unsigned i = 0; i < c->nnets; i++) {
		const struct vm_net *n = &c->nets[i];

		wbuf_str(w, n->name);
		wbuf_str(w, n->tap);
		wbuf_str(w, n->bridge);
		wbuf_bytes(w, n->mac, sizeof(n->mac));
		wbuf_u8(w, (uint8_t)n->queues);
	}
	wbuf_u8(w, c->persistent);
}

static bool disk_read(struct vm_disk *d, struct rbuf *b)
{
	uint8_t readonly, direct;

	rbuf_str(b, d->name, sizeof(d->name));
	rbuf_str(b, d->path, sizeof(d->path));
	rbuf_str(b, d->serial, sizeof(d->serial));
	readonly = rbuf_u8(b);
	direct = rbuf_u8(b);
	d->queues = rbuf_u8(b);
	d->readonly = readonly;
	d->direct = direct;
	return !b->failed && readonly <= 1 && direct <= 1;
}

static bool net_read(struct vm_net *n, struct rbuf *b)
{
	rbuf_str(b, n->name, sizeof(n->name));
	rbuf_str(b, n->tap, sizeof(n->tap));
	rbuf_str(b, n->bridge, sizeof(n->bridge));
	rbuf_copy(b, n->mac, sizeof(n->mac));
	n->queues = rbuf_u8(b);
	return !b->failed;
}

int config_read_devices(struct vm_config *c, struct rbuf *b, struct err *e)
{
	unsigned n = rbuf_u8(b);

	if (b->failed || n > VM_DISKS_MAX)
		return err_set(e, -EPROTO, "the guest's description: %u disks, up to %d are known",
			n, VM_DISKS_MAX);
	for (; c->ndisks < n; c->ndisks++) {
		if (!disk_read(&c->disks[c->ndisks], b))
			return err_set(e, -EPROTO, "the guest's description: disk %u is malformed",
				c->ndisks);
	}
	n = rbuf_u8(b);
	if (b->failed || n > VM_NETS_MAX)
		return err_set(e, -EPROTO, "the guest's description: %u nets, up to %d are known",
			n, VM_NETS_MAX);
	for (; c->nnets < n; c->nnets++) {
		if (!net_read(&c->nets[c->nnets], b))
			return err_set(e, -EPROTO, "the guest's description: net %u is malformed",
				c->nnets);
	}
	n = rbuf_u8(b);
	if (b->failed || n > 1)
		return err_set(
			e, -EPROTO, "the guest's description: whether it is kept is malformed");
	c->persistent = n;
	return 0;
}

/* FNV-1a, 64 bits, over both names and the NUL between them. */
void vm_net_mac(uint8_t mac[6], const char *guest, const char *net)
{
	const char *const part[] = { guest, net };
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < 2; i++) {
		const char *p = part[i];

		do
			h = (h ^ (unsigned char)*p) * 0x100000001b3u;
		while (*p++);
	}
	mac[0] = 0x02; /* locally administered, one station */
	for (size_t i = 1; i < 6; i++)
		mac[i] = (uint8_t)(h >> (8 * i));
}
