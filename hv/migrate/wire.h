/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a move, as they travel over a transport (hv/migrate/xport.h) once the rendezvous
 * has agreed on everything. Owns their encoding; docs/protocol.md shows their order.
 * Invariant: a decoder accepts exactly what the encoder of the same protocol version writes.
 * Next in the flow: hv/migrate/source.h and target.h.
 */
#ifndef WATARI_MIGRATE_WIRE_H
#define WATARI_MIGRATE_WIRE_H

#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/uuid.h"

#define WIRE_TEXT_MAX 400 /* bytes of a reason, NUL included */

enum wire_type {
	WIRE_READY = 1, /* target: the machine is built; what a rehearsal of the switchover cost */
	WIRE_ROUND = 2, /* source: all puts of this round were posted before this */
	WIRE_ROUND_ACK = 3, /* target: they are in guest memory */
	WIRE_STATE = 4,     /* source, frozen: the last puts were posted before this; all state */
	WIRE_LOADED = 5,    /* target: state loaded, ready to run, not running */
	WIRE_COMMIT = 6,    /* source: the guest is yours */
	WIRE_THAWED = 7,    /* target: it runs */
	WIRE_ABORT = 8,     /* either: given up, with the reason; the sender will not run it */
	WIRE_EXTENTS = 9,   /* source: before the first round: what will arrive, see extents.h */
};

struct wire_msg {
	enum wire_type type;
	uint64_t round;         /* ROUND, ROUND_ACK: 1 and up */
	uint64_t save_ns;       /* READY: rehearsed */
	uint64_t load_ns;       /* READY: rehearsed; LOADED: measured */
	uint64_t state_bytes;   /* READY: size of the rehearsed state */
	uint64_t clock_real_ns; /* STATE: source's CLOCK_REALTIME when the guest's clock was read */
	int64_t clock_offset_ns;  /* STATE: target's CLOCK_REALTIME minus the source's */
	uint8_t uuid[UUID_SIZE];  /* STATE: the guest's */
	uint64_t epoch;           /* STATE, COMMIT: the guest's at the source; 0: no arbiter */
	struct rbuf state;        /* STATE: sections; EXTENTS: all; points into the message */
	char text[WIRE_TEXT_MAX]; /* ABORT */
};

const char *wire_type_name(unsigned type); /* "READY" ..., "?" for unknown */

/* Writes the body of @m to @w; @m->state is not written: append what it holds after the call. */
void wire_encode(const struct wire_msg *m, struct wbuf *w);
/* Reads a body of @type. -EPROTO, naming the message, for anything malformed. */
int wire_decode(struct wire_msg *m, unsigned type, const void *data, size_t len, struct err *e);

#endif
