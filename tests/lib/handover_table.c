/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads tests/model/handover.table as tests/model/rows does, and holds the machines to it: every
 * state and flags they can reach, every event, before and after the limit. Must never take a
 * transition from anywhere but the machines. Next in the flow: handover_machines.c.
 */
#include "tests/lib/handover_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/handover_world.h"

enum { ARBITER = 1, LATE = 2, WAITING = 4, DOWN = 8, PROMISED = 16, COMMITTED = 32 };

static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{ "arbiter", ARBITER },
	{ "late", LATE },
	{ "waiting", WAITING },
	{ "down", DOWN },
	{ "promised", PROMISED },
	{ "committed", COMMITTED },
};

/* ---- reading ------------------------------------------------------------------------------ */

static unsigned table_flag(const char *name)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(flags[i].name, name) == 0)
			return flags[i].flag;
	}
	return 0;
}

static void table_events(struct table_row *r, char *text)
{
	char *save, *word = strtok_r(text, "|", &save);

	for (unsigned i = 0; word && i < TABLE_WORDS; i++, word = strtok_r(NULL, "|", &save))
		snprintf(r->events[i], TABLE_WORD, "%s", word);
}

/* What stands left of "->": machine, state, events, guards. */
static bool table_left(struct table_row *r, char *text)
{
	char *save, *machine = strtok_r(text, " \t", &save), *state = strtok_r(NULL, " \t", &save);
	char *events = strtok_r(NULL, " \t", &save), *word;

	if (!machine || !state || !events)
		return false;
	r->source = strcmp(machine, "source") == 0;
	snprintf(r->state, TABLE_WORD, "%s", state);
	table_events(r, events);
	while ((word = strtok_r(NULL, " \t", &save)) != NULL) {
		unsigned f = table_flag(word + (*word == '!'));

		if (!f)
			return false;
		*(*word == '!' ? &r->guards_not : &r->guards) |= f;
	}
	return r->source || strcmp(machine, "target") == 0;
}

/* What stands right of it: state, flags, and after a colon to-dos. */
static bool table_right(struct table_row *r, char *text)
{
	char *todos = strchr(text, ':'), *save, *word;

	if (todos)
		*todos++ = '\0';
	word = strtok_r(text, " \t", &save);
	if (!word)
		return false;
	snprintf(r->to, TABLE_WORD, "%s", strcmp(word, "-") == 0 ? r->state : word);
	while ((word = strtok_r(NULL, " \t", &save)) != NULL) {
		unsigned f = table_flag(word + 1);

		if (!f || (*word != '+' && *word != '-'))
			return false;
		*(*word == '+' ? &r->set : &r->clear) |= f;
	}
	for (word = todos ? strtok_r(todos, " \t", &save) : NULL; word;
		word = strtok_r(NULL, " \t", &save)) {
		size_t n = strlen(r->todos);

		snprintf(r->todos + n, sizeof(r->todos) - n, "%s ", word);
	}
	return true;
}

int table_load(struct table *t, const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");
	char line[256], *arrow;
	unsigned n = 0;
	int r = 0;

	memset(t, 0, sizeof(*t));
	if (!f)
		return err_set(e, -ENOENT, "no %s: run from the project's root", path);
	while (!r && fgets(line, sizeof(line), f)) {
		n++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		arrow = strstr(line, "->");
		if (arrow)
			*arrow = '\0';
		t->row[t->rows].line = n;
		if (!arrow || t->rows + 1 == TABLE_ROWS || !table_left(&t->row[t->rows], line) ||
			!table_right(&t->row[t->rows], arrow + 2))
			r = err_set(e, -EINVAL, "%s:%u is no row", path, n);
		t->rows++;
	}
	fclose(f);
	return r;
}

static bool table_event_fits(const struct table_row *r, const char *event)
{
	for (unsigned i = 0; i < TABLE_WORDS && r->events[i][0]; i++) {
		if (strcmp(r->events[i], "*") == 0 || strcmp(r->events[i], event) == 0)
			return true;
	}
	return false;
}

static struct table_row *table_find(
	struct table *t, bool source, const char *state, const char *event, unsigned now)
{
	for (unsigned i = 0; i < t->rows; i++) {
		struct table_row *r = &t->row[i];

		if (r->source == source && strcmp(r->state, state) == 0 &&
			table_event_fits(r, event) && (r->guards & now) == r->guards &&
			!(r->guards_not & now))
			return r;
	}
	return NULL;
}

/* ---- comparing ---------------------------------------------------------------------------- */

struct found {
	const char *state, *event, *to;
	unsigned before, after;
	char todos[80];
};

static int table_check(struct table *t, bool source, const struct found *f, struct err *e)
{
	struct table_row *r = table_find(t, source, f->state, f->event, f->before);
	const char *who = source ? "source" : "target";
	unsigned keep = ~(unsigned)LATE, after;

	t->compared++;
	if (!r)
		return err_set(e, -EINVAL,
			"the table has no row for the %s in %s on %s (flags %#x)", who, f->state,
			f->event, f->before);
	r->used = true;
	after = ((f->before & ~r->clear) | r->set) & keep;
	/* what an ended machine would still wait for is nothing */
	if (strcmp(r->to, f->to) == 0 && strcmp(r->to, r->state) != 0)
		after = (after & ~(unsigned)WAITING) | (f->after & WAITING);
	if (strcmp(r->to, f->to) != 0 || strcmp(r->todos, f->todos) != 0 ||
		after != (f->after & keep))
		return err_set(e, -EINVAL,
			"the %s in %s on %s%s (flags %#x): the table's line %u says %s: %s(flags %#x), the "
			"machine does %s: %s(flags %#x)",
			who, f->state, f->event, f->before & LATE ? ", late" : "", f->before,
			r->line, r->to, r->todos, after, f->to, f->todos, f->after & keep);
	return 0;
}

static void found_todo(struct found *f, const char *name)
{
	size_t n = strlen(f->todos);

	snprintf(f->todos + n, sizeof(f->todos) - n, "%s ", name);
}

static unsigned source_flags(const struct source *s)
{
	bool waits = s->state == SOURCE_ARBITRATE && s->wait.next != UINT64_MAX;

	return (s->params.epoch ? ARBITER : 0) | (waits ? WAITING : 0) | (s->down ? DOWN : 0) |
	       (s->promised ? PROMISED : 0) | (s->committed ? COMMITTED : 0);
}

static unsigned target_flags(const struct target *t)
{
	bool waits = (t->state == TARGET_ACQUIRE || t->state == TARGET_ARBITRATE) &&
		     t->wait.next != UINT64_MAX;

	return (t->epoch ? ARBITER : 0) | (waits ? WAITING : 0);
}

#define REACHED 256

int table_compare_source(struct table *t, bool arbiter, struct err *e)
{
	static struct source at[REACHED];
	bool seen[SOURCE_STATES][64] = { 0 };
	struct target unused;
	unsigned n = 1;
	int r = 0;

	world_machines(&at[0], &unused, arbiter);
	seen[at[0].state][source_flags(&at[0])] = true;
	for (unsigned i = 0; i < n && !r; i++) {
		for (unsigned m = 0; m < 2 * SOURCE_EVENTS && !r; m++) {
			enum source_event_type type = (enum source_event_type)(m / 2);
			struct found f = { .state = source_state_name(at[i].state),
				.event = source_event_name(type),
				.before = source_flags(&at[i]) | (m % 2 ? LATE : 0) };
			struct source next = at[i];
			struct source_todo d;

			world_source_step(&next, type, m % 2);
			while (source_todo(&next, &d))
				found_todo(&f, source_todo_name(d.type));
			f.to = source_state_name(next.state);
			f.after = source_flags(&next);
			r = table_check(t, true, &f, e);
			if (source_ended(&next) || seen[next.state][f.after] || n == REACHED)
				continue;
			seen[next.state][f.after] = true;
			at[n++] = next;
		}
	}
	return r;
}

/* ROUND while pages are copied belongs to the copy, not to the hand-over. */
int table_compare_target(struct table *t, bool arbiter, struct err *e)
{
	static struct target at[REACHED];
	bool seen[TARGET_STATES][64] = { 0 };
	struct source unused;
	unsigned n = 1;
	int r = 0;

	world_machines(&unused, &at[0], arbiter);
	seen[at[0].state][target_flags(&at[0])] = true;
	for (unsigned i = 0; i < n && !r; i++) {
		for (unsigned m = 0; m < 2 * TARGET_EVENTS && !r; m++) {
			enum target_event_type type = (enum target_event_type)(m / 2);
			struct found f = { .state = target_state_name(at[i].state),
				.event = target_event_name(type),
				.before = target_flags(&at[i]) | (m % 2 ? LATE : 0) };
			struct target next = at[i];
			struct target_todo d;

			if (at[i].state == TARGET_COPY && type == TARGET_EV_ROUND)
				continue;
			world_target_step(&next, type, m % 2);
			while (target_todo(&next, &d))
				found_todo(&f, target_todo_name(d.type));
			f.to = target_state_name(next.state);
			f.after = target_flags(&next);
			r = table_check(t, false, &f, e);
			if (target_ended(&next) || seen[next.state][f.after] || n == REACHED)
				continue;
			seen[next.state][f.after] = true;
			at[n++] = next;
		}
	}
	return r;
}
