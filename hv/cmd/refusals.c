/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the bound on what is said of refused peers (see refusals.h). Must never lose one: each is
 * told or counted. Invariant: between two ends of a time at most REFUSALS_LINES lines are said, and
 * at an end at most REFUSALS_PEERS + 1.
 * Next in the flow: receive.c.
 */
#include "hv/cmd/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/err.h"

#define REFUSALS_LINE (XPORT_HOST_MAX + ERR_MSG_MAX + 64)

static struct refusals_peer *refusals_peer(struct refusals *f, const char *name)
{
	struct refusals_peer *p = f->peer;

	for (; p < &f->peer[REFUSALS_PEERS] && p->name[0]; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	snprintf(p->name, sizeof(p->name), "%s",
		p == &f->peer[REFUSALS_PEERS] ? "other addresses" : name);
	return p;
}

/* What a peer said may be part of @text. */
static void refusals_say(struct refusals *f, char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	f->line(f->arg, text);
}

void refusals_add(struct refusals *f, const char *peer, const char *why, uint64_t now)
{
	char text[REFUSALS_LINE];
	struct refusals_peer *p;

	refusals_end(f, now);
	if (!f->end)
		f->end = now + REFUSALS_NS;
	p = refusals_peer(f, peer);
	if (p->told == REFUSALS_OF_PEER || f->lines == REFUSALS_LINES) {
		p->left_out++;
		return;
	}
	p->told++;
	f->lines++;
	snprintf(text, sizeof(text), "refused %s: %s", peer, why);
	refusals_say(f, text);
}

void refusals_end(struct refusals *f, uint64_t now)
{
	char text[REFUSALS_LINE];

	if (!f->end || now < f->end)
		return;
	for (unsigned i = 0; i <= REFUSALS_PEERS; i++) {
		struct refusals_peer *p = &f->peer[i];

		if (!p->left_out)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 " more refusal%s of %s in the last %u s",
			p->left_out, p->left_out == 1 ? "" : "s", p->name,
			(unsigned)(REFUSALS_NS / 1000000000ull));
		refusals_say(f, text);
	}
	memset(f->peer, 0, sizeof(f->peer));
	f->lines = 0;
	f->end = 0;
}
