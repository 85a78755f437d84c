/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the bytes of the rendezvous' frames (see rendezvous.h). Must never trust the peer: every
 * count and length is bounded before use.
 * Next in the flow: rendezvous.c.
 */
#include "hv/migrate/rdv_codec.h"

#include <errno.h>
#include <string.h>

void rdv_offer_encode(const struct rdv_offer *o, struct wbuf *w)
{
	wbuf_str(w, o->software);
	wbuf_str(w, o->name);
	wbuf_str(w, o->transport);
	wbuf_u8(w, o->streams);
	wbuf_u8(w, o->encrypt);
	wbuf_u64(w, o->allocated_bytes);
	wbuf_u32(w, o->nregions);
	for (uint32_t i = 0; i < o->nregions; i++) {
		wbuf_u64(w, o->region[i].gpa);
		wbuf_u64(w, o->region[i].size);
	}
	wbuf_u32(w, o->config_len);
	wbuf_bytes(w, o->config, o->config_len);
}

int rdv_offer_decode(struct rdv_offer *o, struct rbuf *r, struct err *e)
{
	uint8_t encrypt;

	memset(o, 0, sizeof(*o));
	rbuf_str(r, o->software, sizeof(o->software));
	rbuf_str(r, o->name, sizeof(o->name));
	rbuf_str(r, o->transport, sizeof(o->transport));
	o->streams = rbuf_u8(r);
	encrypt = rbuf_u8(r);
	o->encrypt = encrypt == 1;
	o->allocated_bytes = rbuf_u64(r);
	o->nregions = rbuf_u32(r);
	if (o->nregions < 1 || o->nregions > XPORT_REGIONS_MAX)
		goto bad;
	for (uint32_t i = 0; i < o->nregions; i++) {
		o->region[i].gpa = rbuf_u64(r);
		o->region[i].size = rbuf_u64(r);
		if (o->region[i].size == 0 || o->region[i].size % 4096 || o->region[i].gpa % 4096)
			goto bad;
	}
	o->config_len = rbuf_u32(r);
	if (o->config_len > RDV_CONFIG_MAX)
		goto bad;
	rbuf_copy(r, o->config, o->config_len);
	if (rbuf_done(r) && encrypt <= 1 && o->streams >= 1 && o->streams <= 16)
		return 0;
bad:
	return err_set(e, -EPROTO, "the source sent a malformed offer");
}

void rdv_define_encode(const struct rdv_offer *o, struct wbuf *w)
{
	wbuf_str(w, o->software);
	wbuf_str(w, o->name);
	wbuf_u32(w, o->config_len);
	wbuf_bytes(w, o->config, o->config_len);
}

int rdv_define_decode(struct rdv_offer *o, struct rbuf *r, struct err *e)
{
	memset(o, 0, sizeof(*o));
	o->definition = true;
	rbuf_str(r, o->software, sizeof(o->software));
	rbuf_str(r, o->name, sizeof(o->name));
	o->config_len = rbuf_u32(r);
	if (o->config_len > RDV_CONFIG_MAX)
		o->config_len = 0; /* and so there is too much behind it */
	rbuf_copy(r, o->config, o->config_len);
	if (rbuf_done(r))
		return 0;
	return err_set(e, -EPROTO, "the source sent a malformed definition");
}

void rdv_accept_encode(const struct rdv_accept *a, struct wbuf *w)
{
	wbuf_u16(w, a->port);
	wbuf_bytes(w, a->token, sizeof(a->token));
}

int rdv_accept_decode(struct rdv_accept *a, struct rbuf *r, struct err *e)
{
	a->port = rbuf_u16(r);
	rbuf_copy(r, a->token, sizeof(a->token));
	if (!rbuf_done(r) || a->port == 0)
		return err_set(e, -EPROTO, "the target sent a malformed acceptance");
	return 0;
}

void rdv_hello_encode(uint64_t memory, struct wbuf *w)
{
	wbuf_u64(w, RDV_MAGIC);
	wbuf_u32(w, RDV_PROTOCOL);
	wbuf_str(w, rdv_software());
	wbuf_u64(w, memory);
}

int rdv_hello_decode(uint64_t *memory, struct rbuf *r, struct err *e)
{
	uint64_t magic = rbuf_u64(r);
	uint32_t protocol = rbuf_u32(r);
	char software[RDV_VERSION_MAX];

	rbuf_str(r, software, sizeof(software));
	if (r->failed || magic != RDV_MAGIC)
		return err_set(e, -EPROTO, "the peer is no watari: it does not speak its protocol");
	if (protocol != RDV_PROTOCOL)
		return err_set(e, -EPROTO,
			"the peer (watari %s) speaks migration protocol %u, this watari (%s) speaks %u: "
			"use the same version on both hosts",
			software, protocol, rdv_software(), RDV_PROTOCOL);
	*memory = rbuf_u64(r);
	return rbuf_done(r) ? 0 : err_set(e, -EPROTO, "the peer sent a malformed greeting");
}

void rdv_can_encode(const struct rdv_transports *t, struct wbuf *w)
{
	wbuf_u8(w, (uint8_t)t->n);
	for (unsigned i = 0; i < t->n; i++) {
		wbuf_str(w, t->t[i].name);
		wbuf_u8(w, t->t[i].can.usable);
		wbuf_str(w, t->t[i].can.why);
	}
}

int rdv_can_decode(struct rdv_transports *t, struct rbuf *r, struct err *e)
{
	unsigned n = rbuf_u8(r);

	memset(t, 0, sizeof(*t));
	if (n > RDV_TRANSPORTS_MAX)
		goto bad;
	for (t->n = 0; t->n < n; t->n++) {
		struct rdv_transport *one = &t->t[t->n];
		uint8_t usable;

		rbuf_str(r, one->name, sizeof(one->name));
		usable = rbuf_u8(r);
		rbuf_str(r, one->can.why, sizeof(one->can.why));
		if (r->failed || !one->name[0] || usable > 1)
			goto bad;
		one->can.usable = usable;
	}
	if (rbuf_done(r))
		return 0;
bad:
	t->n = 0;
	return err_set(e, -EPROTO, "the target sent a malformed list of transports");
}
