/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the bytes of a record of facts (see facts.h): one section for each table row below. A
 * section that is not known is passed over, so that a newer peer may say more.
 * Must never trust the peer: every text, count and value is bounded before it is kept.
 * Next in the flow: hv/migrate/rendezvous.h carries them.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "hv/base/section.h"
#include "hv/preflight/facts.h"

#define CODEC_SECTIONS 64 /* of one record */

/* A read of a tri-state; what is none fails. */
static enum pf_know codec_know(struct rbuf *r)
{
	uint8_t v = rbuf_u8(r);

	if (v > PF_YES)
		r->failed = true;
	return v > PF_YES ? PF_UNKNOWN : (enum pf_know)v;
}

static bool codec_bool(struct rbuf *r)
{
	uint8_t v = rbuf_u8(r);

	if (v > 1)
		r->failed = true;
	return v == 1;
}

static void put_versions(const struct pf_facts *f, struct wbuf *w)
{
	wbuf_str(w, f->software);
	wbuf_str(w, f->formats);
	wbuf_u32(w, f->protocol);
}

static void get_versions(struct pf_facts *f, struct rbuf *r)
{
	rbuf_str(r, f->software, sizeof(f->software));
	rbuf_str(r, f->formats, sizeof(f->formats));
	f->protocol = rbuf_u32(r);
}

static void put_guest(const struct pf_facts *f, struct wbuf *w)
{
	wbuf_str(w, f->guest);
	wbuf_str(w, f->kernel);
	wbuf_u32(w, f->cpus);
	wbuf_u64(w, f->memory);
	wbuf_u64(w, f->allocated);
	wbuf_u64(w, f->page);
	wbuf_u64(w, f->nodes);
}

static void get_guest(struct pf_facts *f, struct rbuf *r)
{
	rbuf_str(r, f->guest, sizeof(f->guest));
	rbuf_str(r, f->kernel, sizeof(f->kernel));
	f->cpus = rbuf_u32(r);
	f->memory = rbuf_u64(r);
	f->allocated = rbuf_u64(r);
	f->page = rbuf_u64(r);
	f->nodes = rbuf_u64(r);
}

static void put_cpu(const struct pf_facts *f, struct wbuf *w)
{
	wbuf_u32(w, f->cpuid_len);
	wbuf_bytes(w, f->cpuid, f->cpuid_len);
	wbuf_u32(w, f->tsc_khz);
	wbuf_u8(w, (uint8_t)f->tsc_scaling);
	wbuf_str(w, f->kvm_error);
}

static void get_cpu(struct pf_facts *f, struct rbuf *r)
{
	uint32_t n = rbuf_u32(r);

	if (n > sizeof(f->cpuid)) {
		r->failed = true;
		return;
	}
	rbuf_copy(r, f->cpuid, n);
	f->cpuid_len = n;
	f->tsc_khz = rbuf_u32(r);
	f->tsc_scaling = codec_know(r);
	rbuf_str(r, f->kvm_error, sizeof(f->kvm_error));
}

static void put_host(const struct pf_facts *f, struct wbuf *w)
{
	wbuf_u64(w, f->available);
	wbuf_u64(w, f->huge_free);
	wbuf_u64(w, f->nodes_here);
	wbuf_u64(w, f->memlock);
	wbuf_u8(w, (uint8_t)f->memlock_known);
	wbuf_u8(w, (uint8_t)f->overcommit);
	wbuf_str(w, f->name_error);
	wbuf_u8(w, (uint8_t)f->name_free);
	wbuf_u8(w, (uint8_t)f->kernel_there);
	wbuf_u64(w, f->space);
	wbuf_u8(w, (uint8_t)f->space_known);
	wbuf_u8(w, (uint8_t)f->synced);
	wbuf_u64(w, f->clock_error_us);
}

static void get_host(struct pf_facts *f, struct rbuf *r)
{
	f->available = rbuf_u64(r);
	f->huge_free = rbuf_u64(r);
	f->nodes_here = rbuf_u64(r);
	f->memlock = rbuf_u64(r);
	f->memlock_known = codec_know(r);
	f->overcommit = codec_know(r);
	rbuf_str(r, f->name_error, sizeof(f->name_error));
	f->name_free = codec_know(r);
	f->kernel_there = codec_know(r);
	f->space = rbuf_u64(r);
	f->space_known = codec_know(r);
	f->synced = codec_know(r);
	f->clock_error_us = rbuf_u64(r);
}

static void put_link(const struct pf_facts *f, struct wbuf *w)
{
	const struct pf_link *l = &f->link;

	wbuf_str(w, l->device);
	wbuf_u8(w, (uint8_t)l->here);
	wbuf_u8(w, (uint8_t)l->fallback);
	wbuf_u64(w, l->mbit);
	wbuf_u32(w, l->mtu);
	wbuf_u16(w, l->port);
	wbuf_u8(w, (uint8_t)l->reached);
	wbuf_str(w, l->reach_error);
}

static void get_link(struct pf_facts *f, struct rbuf *r)
{
	struct pf_link *l = &f->link;

	rbuf_str(r, l->device, sizeof(l->device));
	l->here = codec_know(r);
	l->fallback = codec_know(r);
	l->mbit = rbuf_u64(r);
	l->mtu = rbuf_u32(r);
	l->port = rbuf_u16(r);
	l->reached = codec_know(r);
	rbuf_str(r, l->reach_error, sizeof(l->reach_error));
}

/* Every disk and every net is a section of its own: the instance is its place in the list. */
static void put_disk(const struct pf_disk *d, bool source, struct wbuf *w)
{
	wbuf_str(w, d->name);
	wbuf_str(w, d->path);
	wbuf_u8(w, d->readonly);
	wbuf_str(w, d->error);
	wbuf_u8(w, d->device);
	wbuf_u64(w, d->size);
	wbuf_u64(w, d->inode);
	wbuf_str(w, d->identity);
	/* A target that was told them could repeat them without having looked. */
	wbuf_u64(w, source ? 0 : d->nonce);
	wbuf_u64(w, source ? 0 : d->digest);
	wbuf_u8(w, (uint8_t)d->held);
	wbuf_u8(w, (uint8_t)d->lock);
	wbuf_str(w, d->lock_error);
}

static void get_disk(struct pf_disk *d, struct rbuf *r)
{
	uint8_t lock;

	rbuf_str(r, d->name, sizeof(d->name));
	rbuf_str(r, d->path, sizeof(d->path));
	d->readonly = codec_bool(r);
	rbuf_str(r, d->error, sizeof(d->error));
	d->device = codec_bool(r);
	d->size = rbuf_u64(r);
	d->inode = rbuf_u64(r);
	rbuf_str(r, d->identity, sizeof(d->identity));
	d->nonce = rbuf_u64(r);
	d->digest = rbuf_u64(r);
	d->held = codec_know(r);
	lock = rbuf_u8(r);
	rbuf_str(r, d->lock_error, sizeof(d->lock_error));
	if (lock > PF_LOCK_NONE)
		r->failed = true;
	else
		d->lock = (enum pf_lock)lock;
}

static void put_net(const struct pf_net *n, struct wbuf *w)
{
	wbuf_str(w, n->name);
	wbuf_str(w, n->tap);
	wbuf_str(w, n->bridge);
	wbuf_u8(w, (uint8_t)n->have_bridge);
	wbuf_u8(w, (uint8_t)n->have_tap);
}

static void get_net(struct pf_net *n, struct rbuf *r)
{
	rbuf_str(r, n->name, sizeof(n->name));
	rbuf_str(r, n->tap, sizeof(n->tap));
	rbuf_str(r, n->bridge, sizeof(n->bridge));
	n->have_bridge = codec_know(r);
	n->have_tap = codec_know(r);
}

static const struct {
	const char *name;
	void (*put)(const struct pf_facts *f, struct wbuf *w);
	void (*get)(struct pf_facts *f, struct rbuf *r);
} codec_parts[] = {
	{ "pf-versions", put_versions, get_versions },
	{ "pf-guest", put_guest, get_guest },
	{ "pf-cpu", put_cpu, get_cpu },
	{ "pf-host", put_host, get_host },
	{ "pf-link", put_link, get_link },
};
#define CODEC_PARTS (sizeof(codec_parts) / sizeof(codec_parts[0]))

void pf_facts_encode(const struct pf_facts *f, bool source, struct wbuf *w)
{
	size_t at;

	for (size_t i = 0; i < CODEC_PARTS; i++) {
		at = section_begin(w, codec_parts[i].name, 0, 1);
		codec_parts[i].put(f, w);
		section_end(w, at);
	}
	for (uint32_t i = 0; i < f->ndisks; i++) {
		at = section_begin(w, "pf-disk", i, 1);
		put_disk(&f->disk[i], source, w);
		section_end(w, at);
	}
	for (uint32_t i = 0; i < f->nnets; i++) {
		at = section_begin(w, "pf-net", i, 1);
		put_net(&f->net[i], w);
		section_end(w, at);
	}
}

/* One section into @f. Those of disks and nets come in the order of their numbers. */
static int codec_take(struct pf_facts *f, struct section *s, uint32_t *seen, struct err *e)
{
	bool known = true;

	if (strcmp(s->name, "pf-disk") == 0) {
		if (s->instance != f->ndisks || f->ndisks == PF_DISKS)
			return err_set(e, -EPROTO, "the peer sent a malformed list of disks");
		get_disk(&f->disk[f->ndisks++], &s->body);
	} else if (strcmp(s->name, "pf-net") == 0) {
		if (s->instance != f->nnets || f->nnets == PF_NETS)
			return err_set(e, -EPROTO, "the peer sent a malformed list of nets");
		get_net(&f->net[f->nnets++], &s->body);
	} else {
		known = false;
		for (size_t i = 0; i < CODEC_PARTS; i++) {
			if (strcmp(s->name, codec_parts[i].name) != 0)
				continue;
			if (*seen >> i & 1)
				return err_set(e, -EPROTO, "the peer sent its '%s' twice", s->name);
			*seen |= 1u << i;
			codec_parts[i].get(f, &s->body);
			known = true;
		}
	}
	if (!known)
		return 0;
	if (s->version == 1)
		return section_done(s, e);
	/* A newer one says what we know first, and more after it. */
	return s->body.failed ? err_set(e, -EPROTO, "the peer's facts '%s' are malformed", s->name)
			      : 0;
}

int pf_facts_decode(struct pf_facts *f, const void *bytes, size_t n, struct err *e)
{
	struct rbuf r = rbuf_of(bytes, n);
	struct section s;
	uint32_t seen = 0;
	int rc = 1;

	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; rc == 1; i++) {
		rc = section_next(&r, &s, e);
		if (rc == 1 && i == CODEC_SECTIONS)
			rc = err_set(e, -EPROTO, "the peer sent too many facts");
		if (rc == 1 && codec_take(f, &s, &seen, e) < 0)
			rc = -EPROTO;
	}
	return rc;
}
