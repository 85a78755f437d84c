/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many data connections a move uses if nobody has said: what is known of this host and of the
 * link in, a number out. docs/decisions/0043 has the evidence.
 * Next in the flow: hv/migrate/move.c asks; the transport opens so many.
 */
#ifndef WATARI_MIGRATE_STREAMS_H
#define WATARI_MIGRATE_STREAMS_H

#include <stdint.h>

#define STREAMS_AUTO 0u
#define STREAMS_MAX  16u

/* A link up to this is filled by one stream; every further one is worth as much. */
#define STREAMS_LINK_MBIT 25000u
/* Less memory is there before a second stream has paid. */
#define STREAMS_BYTES_LEAST (1ull << 30)
/* More are of no use to one thread at either end. */
#define STREAMS_AUTO_MAX 8u

struct streams_facts {
	unsigned cpus;      /* this process may use */
	uint64_t link_mbit; /* of the device the data leaves by; 0: not known, or there is none */
	uint64_t bytes;     /* of guest memory that will move */
};

/* 1..STREAMS_AUTO_MAX. */
unsigned streams_choose(const struct streams_facts *f);

/* Processors this process may use. */
unsigned streams_cpus(void);

#endif
