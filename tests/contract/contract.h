/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cases of the contract suite share: a connected pair with guest memory at both ends, a
 * recorder of events, and a loop that drives both ends from one thread.
 * Next in the flow: contract.c, then cases_*.c.
 */
#ifndef WATARI_TESTS_CONTRACT_H
#define WATARI_TESTS_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/migrate/xport.h"

#define PAGE         4096u
#define REGION0_SIZE (16u << 20)
#define REGION1_SIZE ((4u << 20) + PAGE) /* ends in the middle of a block */
#define LONG_NS      20000000000ull      /* longer than anything takes; reaching it is a failure */

/* One line of the table in contract.c. */
struct subject {
	const char *name;
	const struct xport_ops *ops;
	unsigned streams;
	const char *host;
	bool keyed; /* what is put is encrypted */
};

/* variants.c */
extern const struct xport_ops variant_sock_to_uring, variant_uring_to_sock, variant_uring_zc,
	variant_uring_plain;

struct contract_case {
	const char *name;
	CMUnitTestFunction fn; /* *state is the struct subject */
};

/* Each list ends with a NULL name. */
extern const struct contract_case cases_connect[];
extern const struct contract_case cases_msg[];
extern const struct contract_case cases_put[];
extern const struct contract_case cases_end[];

struct seen_msg {
	uint16_t type;
	size_t len;
	uint8_t *data; /* a copy */
};

/* One end and what it has reported. */
struct end {
	const struct xport_ops *ops;
	struct xport *x;
	uint8_t *mem[2];   /* regions 0 and 1: shared, all holes at first */
	unsigned done;     /* completions */
	unsigned *done_of; /* by cookie, or NULL: not counted */
	uint64_t done_max; /* cookies are below this */
	struct seen_msg *msg;
	unsigned msgs;
	bool down;
	struct err why;
	/* Called when a message is reported, while its data is valid; may be NULL. */
	void (*on_msg)(struct end *e, const struct xport_event *ev, void *arg);
	void *arg;
};

struct pair {
	struct end src, dst;
};

struct xport_addr subject_addr(const struct subject *s);
/* Connects, and adds both regions at both ends. Fails the test if it cannot. */
void pair_open(struct pair *p, const struct subject *s);
/* As pair_open(), without regions. */
void pair_connect(struct pair *p, const struct subject *s);
void pair_close(struct pair *p);

/* accept() on a thread of its own, with @timeout_ns. */
struct acceptor;
struct acceptor *acceptor_start(
	const struct subject *s, struct xport_listener *l, uint64_t timeout_ns);
/* Waits for it; returns what accept() returned. */
int acceptor_join(struct acceptor *a, struct xport **out, struct err *e);

/* One poll() of an end, recorded. Returns what it returned. */
int end_poll(struct end *e, uint64_t timeout_ns);
void end_put(
	struct end *e, uint32_t region, uint64_t offset, uint32_t len, bool zero, uint64_t cookie);
void end_msg(struct end *e, uint16_t type, const void *data, size_t len);
/* Polls both ends in turn once; fails the test when called too long after @start_ns. */
void pair_step(struct pair *p, uint64_t start_ns);
uint64_t now_ns(void);

/* Drives both ends until @cond. */
#define DRIVE(p, cond)                                                                             \
	for (uint64_t drive_start = now_ns(); !(cond);)                                            \
	pair_step((p), drive_start)

/* A small generator, so that a printed seed reproduces a run: xorshift64*. */
uint64_t rng_next(uint64_t *state);
/* A seed from CONTRACT_SEED or the clock; printed. Never 0. */
uint64_t rng_seed(void);
/* Fills a page with bytes that only (key) explains; checks them. */
void page_fill(uint8_t *page, uint64_t key);
bool page_has(const uint8_t *page, uint64_t key);

#endif
