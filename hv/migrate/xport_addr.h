/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a transport connects, and how: plain data, copied freely. The part of the transport
 * contract that is filled from a command line.
 * Next in the flow: hv/migrate/xport.h.
 */
#ifndef WATARI_MIGRATE_XPORT_ADDR_H
#define WATARI_MIGRATE_XPORT_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

#define XPORT_TOKEN_SIZE  16 /* bytes; binds data streams to one move */
#define XPORT_SECRET_SIZE 32
#define XPORT_HOST_MAX    256
#define XPORT_DEVICE_MAX  64

/* What of guest memory an RDMA transport registers, and so pins. Others do not look at it. */
enum xport_pin {
	XPORT_PIN_AUTO,  /* chunks; on-demand paging where chunks do not fit the limits */
	XPORT_PIN_ALL,   /* everything, touched or not */
	XPORT_PIN_CHUNK, /* what the guest has touched, rounded up to chunks */
	XPORT_PIN_ODP,   /* nothing: the adapter pages on demand */
};

/* Wishes about RDMA, of this end alone. All zero: none. */
struct xport_rdma {
	char device[XPORT_DEVICE_MAX]; /* use this device or fail; "": follows from the address */
	enum xport_pin pin;
};

/* Where and how; both ends know it from the rendezvous before a connection is made. */
struct xport_addr {
	char host[XPORT_HOST_MAX];       /* numeric IPv4 or IPv6 address, or a name; never empty */
	uint16_t port;                   /* 0 when listening: any; listen() fills in what it got */
	uint8_t token[XPORT_TOKEN_SIZE]; /* a connection that does not prove it is dropped */
	unsigned streams;                /* 1..16 data streams */
	struct xport_rdma rdma;          /* this end's own wishes */
	bool encrypt;                    /* for probe(): what is put shall be encrypted */
	/* for listen() and connect(): XPORT_SECRET_SIZE bytes that both ends and nobody else have;
	 * what is put is encrypted with keys made of it. The caller's, until accept() or connect()
	 * has returned. NULL: in clear. A transport that cannot encrypt refuses: -ENOTSUP */
	const uint8_t *secret;
	uint64_t memory; /* for probe(): bytes of guest memory that would move; 0: not known */
	/* for listen(): a connected socket, the caller's, whose end there ends accept(); 0: none */
	int lifeline;
};

/* "auto", "all", "chunk", "odp". */
const char *xport_pin_name(enum xport_pin p);

/* Fills in both wishes from words, NULL for none. -EINVAL or -ENAMETOOLONG says which is wrong. */
int xport_rdma_parse(const char *device, const char *pin, struct xport_rdma *out, struct err *e);

#endif
