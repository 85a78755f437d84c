/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks before a move: a table of pure functions over two records of facts. Each is a file of
 * its own that says what it compares, why, and how to mend what it finds.
 * Invariant: a fact that is not known never passes a check. Next in the flow: facts.h; gather.h
 * finds the facts out, hv/ctl/preflight.c brings the two records together.
 */
#ifndef WATARI_PREFLIGHT_PREFLIGHT_H
#define WATARI_PREFLIGHT_PREFLIGHT_H

#include <stdint.h>

#include "hv/preflight/facts.h"

#define PF_CHECKS_MAX 32
#define PF_SAID_MAX   640

/* In the order of how bad it is. */
enum pf_level { PF_PASS, PF_SKIPPED, PF_WARN, PF_FAIL };
const char *pf_level_name(enum pf_level l); /* "pass", "skipped", "warn", "fail" */

struct pf_result {
	enum pf_level level;
	char said[PF_SAID_MAX]; /* what was compared, and what was found */
};

enum pf_flags {
	PF_MAY_SKIP = 1,  /* a move is safe without it: what it would find, the move finds */
	PF_ALONE = 2,     /* needs no target */
	PF_THOROUGH = 4,  /* only in `watari check`: what it compares takes time to measure */
	PF_BEFORE_ALL = 8 /* says itself why the target could not be asked */
};

struct pf_check {
	const char *name, *what, *why, *mend;
	unsigned flags;
	/* @src of the host that the guest leaves, @dst of the other; @r is empty and passes. */
	void (*run)(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r);
};

/* The table: NULL past its end. */
const struct pf_check *pf_check_at(unsigned i);
const struct pf_check *pf_check_find(const char *name);

/*
 * Adds the checks named in @names, separated by commas, to the set @skip. -EINVAL: no such check;
 * -EPERM: one that no move is safe without.
 */
int pf_skip_parse(const char *names, uint64_t *skip, struct err *e);
/* The set as text again, of @n bytes; "" for none. */
const char *pf_skip_format(uint64_t skip, char *buf, size_t n);

struct pf_report {
	unsigned n;
	enum pf_level worst;
	struct {
		const struct pf_check *check;
		struct pf_result r;
	} row[PF_CHECKS_MAX];
};

/* Runs all but those of @skip; without @thorough those that need it are left out. */
void pf_run(const struct pf_facts *src, const struct pf_facts *dst, uint64_t skip, bool thorough,
	struct pf_report *out);
/* The failed ones as one error, -EPERM; 0 if there are none. */
int pf_report_error(const struct pf_report *p, struct err *e);

/* For checks: raises the level to @l and adds a finding. Findings no worse than those that are
 * there already are kept; a good one makes way for a bad one. */
void pf_find(struct pf_result *r, enum pf_level l, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
