/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rendezvous: one TCP connection on which source and target agree, before any page moves, that
 * they speak the same protocol, which guest it is, and how its data will travel. It stays open as
 * the lifeline of the move: its end is the end of the peer.
 *
 *   source: HELLO(magic, protocol, software)     target: HELLO(the same)
 *           and the bytes that will move                 CAN(its transports), once it has looked
 *   source: CHECK(what its host has)             target: FACTS(what this one has), if asked
 *   source: OFFER(guest)                         target: ACCEPT(port, token) | REFUSE(reason)
 *                                                        | BUSY(reason): not now
 *           or DEFINE(a definition, no guest)            KEPT | REFUSE(reason), and that is all
 *   source: PING x n                             target: PONG(real time)  -> clock offset, RTT
 *
 * Every frame is  u32 length | u16 type | payload, length at most RDV_FRAME_MAX. All calls block up
 * to a deadline and belong to one thread.
 * Next in the flow: hv/migrate/move.c.
 */
#ifndef WATARI_MIGRATE_RENDEZVOUS_H
#define WATARI_MIGRATE_RENDEZVOUS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/migrate/chan.h"
#include "hv/migrate/xport.h"

#define RDV_MAGIC          0x49524154414157ull /* "WATARI" padded, little-endian on the wire */
#define RDV_PROTOCOL       7 /* both ends must be equal; raised with every change of the wire */
#define RDV_FRAME_MAX      (64u << 10)
#define RDV_CONFIG_MAX     (32u << 10)
#define RDV_NAME_MAX       64
#define RDV_TRANSPORT_MAX  16 /* bytes of a transport's name */
#define RDV_TRANSPORTS_MAX 8
#define RDV_VERSION_MAX    32

/* What one host can do, in its order of preference. */
struct rdv_transport {
	char name[RDV_TRANSPORT_MAX];
	struct xport_probe can;
};
struct rdv_transports {
	unsigned n;
	struct rdv_transport t[RDV_TRANSPORTS_MAX];
};

struct rdv_region {
	uint64_t gpa, size;
};

struct rdv_offer {
	char software[RDV_VERSION_MAX]; /* the source's version, for messages */
	char name[RDV_NAME_MAX];        /* the guest's */
	/* Nothing runs: only the definition moves. What follows but config is not set then. */
	bool definition;
	char transport[RDV_TRANSPORT_MAX];
	uint8_t streams;
	bool encrypt; /* the data streams, with keys of this session */
	uint32_t nregions;
	struct rdv_region region[XPORT_REGIONS_MAX];
	uint64_t allocated_bytes; /* of guest memory, at the time of the offer; a hint */
	uint32_t config_len;      /* vm_config_encode(), opaque here */
	uint8_t config[RDV_CONFIG_MAX];
};

struct rdv_accept {
	uint16_t port; /* of the data connection, on the address the rendezvous was made to */
	uint8_t token[XPORT_TOKEN_SIZE];
};

struct rdv_clock {
	int64_t offset_ns; /* target's CLOCK_REALTIME minus the source's */
	uint64_t rtt_ns; /* the round trip it was measured with; the error is at most half of it */
};

/* How a target answers a CHECK: fills @out from the source's @body of @len bytes. Not trusted. */
struct rdv_checker {
	int (*facts)(void *arg, const void *body, size_t len, struct wbuf *out, struct err *e);
	void *arg;
};

/* The software version string of this build. */
const char *rdv_software(void);

/* Source: connects to @host:@port within @timeout_ns and makes the channel that @want asks for. */
int rdv_connect(struct chan **out, const char *host, uint16_t port, const struct chan_want *want,
	uint64_t timeout_ns, struct err *e);
/*
 * Target: makes the channel that @want asks for over the connected @fd, which becomes its own, also
 * on failure. A peer that comes in clear where that is not enough is told so.
 */
int rdv_welcome(struct chan **out, int fd, const struct chan_want *want, uint64_t timeout_ns,
	struct err *e);
/* The numeric address of this end of the rendezvous, or of the peer's. @host: XPORT_HOST_MAX. */
int rdv_host(int fd, bool peer, char *host, struct err *e);
/* Source: HELLO both ways, ours with the @memory that will move, bytes. A peer that is no watari,
 * or another protocol, is -EPROTO and says which version it has. */
int rdv_meet(struct chan *c, uint64_t memory, uint64_t timeout_ns, struct err *e);
/* Source: what the target can do, after loading drivers perhaps. */
int rdv_can_read(struct chan *c, struct rdv_transports *there, uint64_t timeout_ns, struct err *e);
/*
 * Source, between that and the offer: CHECK with @facts out; what the target answers is at @body,
 * of RDV_FRAME_MAX bytes, and *@len.
 */
int rdv_check_send(struct chan *c, const struct wbuf *facts, uint8_t *body, size_t *len,
	uint64_t timeout_ns, struct err *e);
/* Source, likewise: times some MiB on this connection. Bytes/s, 0 if it is too quick to tell. */
int rdv_rate_measure(struct chan *c, uint64_t *rate, uint64_t timeout_ns, struct err *e);
/*
 * Source: OFFER out, waits for the answer. A refusal is -ECONNREFUSED with the target's words;
 * -EUSERS where it takes no more guests at this moment: it is worth another try.
 */
int rdv_offer_send(struct chan *c, const struct rdv_offer *o, struct rdv_accept *out,
	uint64_t timeout_ns, struct err *e);
/* Source: DEFINE out, an offer with `definition` set; 0 once it is kept. Refusals as above. */
int rdv_define_send(struct chan *c, const struct rdv_offer *o, uint64_t timeout_ns, struct err *e);
/* Source: measures the clock offset over a few round trips; before the offer or after it. */
int rdv_clock_measure(struct chan *c, struct rdv_clock *out, uint64_t timeout_ns, struct err *e);

/* Target: reads HELLO and answers it. On a mismatch it has answered with a REFUSE already. */
int rdv_hello_read(struct chan *c, uint64_t *memory, uint64_t timeout_ns, struct err *e);
/*
 * Target: says what this host can do, and reads OFFER or DEFINE; answers by @check (NULL: none are
 * answered) what is asked before. Refuses as above. 1: the source only looked, and has left.
 */
int rdv_offer_read(struct chan *c, const struct rdv_transports *here,
	const struct rdv_checker *check, struct rdv_offer *o, uint64_t timeout_ns, struct err *e);
/* Target: answers. */
int rdv_accept_send(struct chan *c, const struct rdv_accept *a, uint64_t timeout_ns, struct err *e);
/* ... a DEFINE. */
int rdv_kept_send(struct chan *c, uint64_t timeout_ns, struct err *e);
void rdv_refuse_send(struct chan *c, const char *reason);
/* ... not now. In place of any answer, as a refusal. */
void rdv_busy_send(struct chan *c, const char *reason);
/* ... before there is a channel as @want says: there is no room for it now. Never blocks. */
void rdv_turn_away(int fd, const struct chan_want *want);
/* Target: answers PINGs until the source ends the measurement. */
int rdv_clock_serve(struct chan *c, uint64_t timeout_ns, struct err *e);

/* 1 if the peer has closed the rendezvous, 0 if it is still there. Never blocks. */
int rdv_peer_gone(int fd);

/* The decoders, exposed for the fuzzer: 0 or -EPROTO. */
int rdv_offer_decode(struct rdv_offer *o, struct rbuf *r, struct err *e);
int rdv_define_decode(struct rdv_offer *o, struct rbuf *r, struct err *e);
int rdv_accept_decode(struct rdv_accept *a, struct rbuf *r, struct err *e);

#endif
