/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the rendezvous and their bodies; private to hv/migrate and its fuzzer.
 * Next in the flow: hv/migrate/rendezvous.c.
 */
#ifndef WATARI_MIGRATE_RDV_CODEC_H
#define WATARI_MIGRATE_RDV_CODEC_H

#include "hv/migrate/rendezvous.h"

enum rdv_type {
	RDV_HELLO = 1,
	RDV_OFFER = 2,
	RDV_ACCEPT = 3,
	RDV_REFUSE = 4, /* body: string, the reason */
	RDV_PING = 5,   /* empty */
	RDV_PONG = 6,   /* body: u64, CLOCK_REALTIME of the target */
	RDV_CLOCK_END = 7,
	RDV_CAN = 8,
	RDV_DEFINE = 9,
	RDV_KEPT = 10,  /* empty */
	RDV_CHECK = 11, /* body: what the source's host has, opaque here */
	RDV_FACTS = 12, /* body: what the target's has */
	RDV_FILL = 13,  /* body: bytes of no meaning, to time them */
	RDV_BUSY = 14,  /* body: string, why not now */
	RDV_LAST = RDV_BUSY,
};

/* @memory: bytes that will move; 0 from the target. */
void rdv_hello_encode(uint64_t memory, struct wbuf *w);
/* -EPROTO for a stranger or another protocol version, naming both versions. */
int rdv_hello_decode(uint64_t *memory, struct rbuf *r, struct err *e);
void rdv_can_encode(const struct rdv_transports *t, struct wbuf *w);
int rdv_can_decode(struct rdv_transports *t, struct rbuf *r, struct err *e);
void rdv_offer_encode(const struct rdv_offer *o, struct wbuf *w);
void rdv_define_encode(const struct rdv_offer *o, struct wbuf *w);
void rdv_accept_encode(const struct rdv_accept *a, struct wbuf *w);

#endif
