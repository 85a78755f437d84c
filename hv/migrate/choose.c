/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the choice of a transport (see choose.h): a pure function of two lists. Must never take
 * another transport than the one that was asked for by name.
 * Invariant: whatever is passed over has its reason in the note or in the error.
 * Next in the flow: move.c.
 */
#include "hv/migrate/choose.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void choose_probe(
	const struct xport_list *l, const struct xport_addr *addr, struct rdv_transports *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < l->n && i < RDV_TRANSPORTS_MAX; i++) {
		struct rdv_transport *t = &out->t[out->n++];

		snprintf(t->name, sizeof(t->name), "%s", l->ops[i]->name);
		l->ops[i]->probe(addr, &t->can);
	}
}

static const struct rdv_transport *choose_find(const struct rdv_transports *list, const char *name)
{
	for (unsigned i = 0; i < list->n; i++) {
		if (strcmp(list->t[i].name, name) == 0)
			return &list->t[i];
	}
	return NULL;
}

/* Why @name cannot be taken, in @why; false: it can. This end speaks first: it is nearer. */
static bool choose_obstacle(const struct rdv_transports *here, const struct rdv_transports *there,
	const char *name, char *why, size_t size)
{
	const struct rdv_transport *a = choose_find(here, name), *b = choose_find(there, name);

	if (!a || !a->can.usable)
		snprintf(why, size, "here: %s", a ? a->can.why : "it was not probed");
	else if (!b)
		snprintf(why, size, "the target's watari has no such transport");
	else if (!b->can.usable)
		snprintf(why, size, "on the target: %s", b->can.why);
	else
		return false;
	return true;
}

/* Adds to the text in @s, of CHOOSE_NOTE_MAX bytes; what does not fit is cut. */
static void __attribute__((format(printf, 2, 3))) choose_add(char *s, const char *fmt, ...)
{
	size_t n = strlen(s);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s + n, CHOOSE_NOTE_MAX - n, fmt, ap);
	va_end(ap);
}

const struct xport_ops *choose_transport(const struct xport_list *l,
	const struct rdv_transports *here, const struct rdv_transports *there, char *note,
	struct err *e)
{
	char why[sizeof(here->t[0].can.why) + 32], passed[CHOOSE_NOTE_MAX] = "";

	note[0] = '\0';
	for (unsigned i = 0; i < l->n; i++) {
		const char *name = l->ops[i]->name;

		if (!choose_obstacle(here, there, name, why, sizeof(why))) {
			choose_add(note, "%s", name);
			if (passed[0])
				choose_add(note, " (not %s)", passed);
			else if (l->n > 1)
				choose_add(note, " (%s)", choose_find(here, name)->can.why);
			return l->ops[i];
		}
		choose_add(passed, "%s%s: %s", i ? "; not " : "", name, why);
	}
	if (l->named)
		err_set(e, -EOPNOTSUPP,
			"transport %s cannot be used: %s (--transport auto takes the best that can)",
			l->ops[0]->name, why);
	else
		err_set(e, -EOPNOTSUPP, "no transport can be used by both ends: %s", passed);
	return NULL;
}
