/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the meaning of "vcpu-cpus" (see place.h). Must never ask a host about the form of a text: a
 * definition is read on hosts it was not written for.
 * Invariant: a text is walked in one place, so what is checked is what is applied.
 * Next in the flow: vcpus.c.
 */
#include "hv/vm/place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/size.h"
#include "hv/vm/config.h"

#define PLACE_KEY      "vcpu-cpus"
#define PLACE_NODE     "node:"
#define PLACE_NODE_MAX 1023 /* more than Linux has (CONFIG_NODES_SHIFT is at most 10) */

/* One item of a text, with the vCPUs that it is for. */
struct place_item {
	const char *text;  /* of its CPUs: "8", "0-3", "node:1" */
	bool all;          /* no vCPU is named */
	bool opens;        /* it is the first for its vCPUs */
	unsigned from, to; /* vCPUs */
	bool node;         /* lo is a node, not a CPU */
	unsigned lo, hi;
};
typedef int (*place_fn)(void *arg, const struct place_item *i, struct err *e);

/* "N" or "N-M", in place; @s is changed. */
static int place_range(
	char *s, const char *what, unsigned max, unsigned *lo, unsigned *hi, struct err *e)
{
	char *dash = strchr(s, '-');
	uint64_t a, b;
	int rc;

	if (dash)
		*dash++ = '\0';
	rc = number_parse(s, what, 0, max, &a, e);
	b = a;
	if (rc == 0 && dash)
		rc = number_parse(dash, what, 0, max, &b, e);
	if (rc == 0 && b < a)
		rc = err_set(e, -EINVAL, "the range ends before it begins");
	if (rc)
		return rc;
	*lo = (unsigned)a;
	*hi = (unsigned)b;
	return 0;
}

/* The CPUs of one item; @s is changed. */
static int place_set(char *s, struct place_item *i, struct err *e)
{
	size_t n = strlen(PLACE_NODE);

	i->node = strncmp(s, PLACE_NODE, n) == 0;
	if (!i->node)
		return place_range(s, "CPU", CPU_SETSIZE - 1, &i->lo, &i->hi, e);
	if (strchr(s, '-'))
		return err_set(e, -EINVAL, "one node at a time: node:0,node:1");
	return place_range(s + n, "node", PLACE_NODE_MAX, &i->lo, &i->hi, e);
}

/* "[VCPUS:]CPUS"; without VCPUS it is for those of the item before. @s is changed. */
static int place_item(char *s, struct place_item *i, struct err *e)
{
	char *colon = strchr(s, ':');

	i->opens = colon && strncmp(s, PLACE_NODE, strlen(PLACE_NODE)) != 0;
	if (i->opens) {
		int rc;

		*colon = '\0';
		rc = place_range(s, "vCPU", VM_CPUS_MAX - 1, &i->from, &i->to, e);
		if (rc)
			return rc;
		i->all = false;
		s = colon + 1;
	}
	return place_set(s, i, e);
}

/* Calls @fn for every item until it says other than 0, which is returned. */
static int place_walk(const char *text, place_fn fn, void *arg, struct err *e)
{
	char copy[VM_PLACE_MAX], word[VM_PLACE_MAX], *next = copy;
	struct place_item i = { .all = true };
	int rc = 0;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return err_set(e, -EINVAL, PLACE_KEY " '%.32s...' is longer than %d bytes", text,
			VM_PLACE_MAX - 1);
	while (rc == 0 && next) {
		char *s = strsep(&next, ",");
		const char *colon = strchr(s, ':');

		strcpy(word, s); /* for the messages: parsing takes it apart */
		rc = place_item(s, &i, e);
		i.text = i.opens ? word + (colon - s) + 1 : word;
		if (rc == 0)
			rc = fn(arg, &i, e);
		if (rc < 0)
			err_wrap(e, PLACE_KEY " '%s'", word[0] ? word : text);
	}
	return rc;
}

/* ---- the form -------------------------------------------------------------------------------- */

struct place_form {
	unsigned cpus;
	bool all, named[VM_CPUS_MAX];
};

static int place_form_item(void *arg, const struct place_item *i, struct err *e)
{
	struct place_form *f = arg;

	f->all |= i->all;
	if (!i->opens)
		return 0;
	if (f->all)
		return err_set(e, -EINVAL,
			"this is for a vCPU, what stands before it for all: begin with a vCPU, or "
			"name none");
	if (i->to >= f->cpus)
		return err_set(e, -EINVAL, "there is no vCPU %u: the guest has %u, from 0 on",
			i->to, f->cpus);
	for (unsigned v = i->from; v <= i->to; v++) {
		if (f->named[v])
			return err_set(e, -EINVAL, "vCPU %u has its CPUs already", v);
		f->named[v] = true;
	}
	return 0;
}

int place_check(const char *text, unsigned cpus, struct err *e)
{
	struct place_form f = { .cpus = cpus };

	return text[0] ? place_walk(text, place_form_item, &f, e) : 0;
}

/* ---- for a guest of fewer vCPUs -------------------------------------------------------------- */

struct place_trimmed {
	unsigned cpus;
	char *to;
	size_t len;
};

static int place_trim_item(void *arg, const struct place_item *i, struct err *e)
{
	struct place_trimmed *t = arg;
	unsigned to = i->to < t->cpus ? i->to : t->cpus - 1;
	const char *comma = t->len ? "," : "";
	char *at = t->to + t->len;

	(void)e;
	/* No longer than what stood there: numbers only lose zeros in front. */
	if (!i->all && i->from >= t->cpus)
		return 0;
	if (!i->opens)
		t->len += (size_t)sprintf(at, "%s%s", comma, i->text);
	else if (i->from == to)
		t->len += (size_t)sprintf(at, "%s%u:%s", comma, to, i->text);
	else
		t->len += (size_t)sprintf(at, "%s%u-%u:%s", comma, i->from, to, i->text);
	return 0;
}

void place_trim(char *text, unsigned cpus)
{
	char fresh[VM_PLACE_MAX] = "";
	struct place_trimmed t = { .cpus = cpus, .to = fresh };

	if (text[0] && place_walk(text, place_trim_item, &t, NULL) == 0)
		strcpy(text, fresh);
}

/* ---- on a host ------------------------------------------------------------------------------- */

struct place_here {
	const struct cpus_host *h;
	cpu_set_t online, allowed;
	unsigned vcpu; /* whose CPUs go to `out` */
	bool every;    /* all items are looked at, whoever they are for */
	bool found;
	cpu_set_t *out;
};

static int place_denied(const struct place_here *p, unsigned cpu, struct err *e)
{
	char have[256];

	if (!CPU_ISSET(cpu, &p->online))
		return err_set(e, -ENODEV,
			"this host has no CPU %u that is switched on, only %s: name some of these",
			cpu, cpus_format(&p->online, have, sizeof(have)));
	return err_set(e, -EPERM,
		"CPU %u is not for this process: its affinity and the cpuset of its control group "
		"allow %s; name some of these, or start it where CPU %u is allowed (taskset, "
		"AllowedCPUs=)",
		cpu, cpus_format(&p->allowed, have, sizeof(have)), cpu);
}

static int place_here_node(const struct place_here *p, unsigned node, cpu_set_t *s, struct err *e)
{
	char have[256];
	int rc = p->h->node(node, s, e);

	if (rc)
		return rc;
	CPU_AND(s, s, &p->allowed);
	CPU_AND(s, s, &p->online);
	if (CPU_COUNT(s))
		return 0;
	return err_set(e, -EPERM,
		"no CPU of that node is for this process: its affinity and the cpuset of its "
		"control group allow %s",
		cpus_format(&p->allowed, have, sizeof(have)));
}

static int place_here_item(void *arg, const struct place_item *i, struct err *e)
{
	struct place_here *p = arg;
	cpu_set_t s;
	int rc = 0;

	if (!p->every && !i->all && (p->vcpu < i->from || p->vcpu > i->to))
		return 0;
	CPU_ZERO(&s);
	if (i->node)
		rc = place_here_node(p, i->lo, &s, e);
	for (unsigned c = i->lo; rc == 0 && !i->node && c <= i->hi; c++) {
		if (!CPU_ISSET(c, &p->online) || !CPU_ISSET(c, &p->allowed))
			return place_denied(p, c, e);
		CPU_SET(c, &s);
	}
	p->found = true;
	CPU_OR(p->out, p->out, &s);
	return rc;
}

static int place_here(const char *text, struct place_here *p, struct err *e)
{
	int rc = 0;

	CPU_ZERO(p->out);
	if (!text[0])
		return 0;
	rc = p->h->online(&p->online, e);
	if (rc == 0)
		rc = p->h->allowed(&p->allowed, e);
	return rc ? rc : place_walk(text, place_here_item, p, e);
}

int place_fits(const char *text, const struct cpus_host *h, struct err *e)
{
	cpu_set_t any;
	struct place_here p = { .h = h, .every = true, .out = &any };

	return place_here(text, &p, e);
}

int place_of(
	const char *text, unsigned vcpu, const struct cpus_host *h, cpu_set_t *out, struct err *e)
{
	struct place_here p = { .h = h, .vcpu = vcpu, .out = out };
	int rc = place_here(text, &p, e);

	return rc ? rc : p.found;
}
