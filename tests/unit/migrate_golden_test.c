/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The golden traces: each file of tests/golden/ is a story of one move, replayed against the pure
 * state machines of hv/migrate. A line "> EVENT k=v ..." is fed, every "< todo [k=v]" after it must
 * be exactly what the machine asks for, "= STATE" is where it must stand, "? text" must be in its
 * error. A file opens with "source" or "target" and its parameters.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/size.h"
#include "hv/migrate/source.h"
#include "hv/migrate/target.h"

struct trace {
	const char *path;
	unsigned line;
	bool is_source;
	struct source s;
	struct target t;
	uint64_t now;
	unsigned steps; /* lines that checked something */
};

#define trace_fail(tr, ...)                                                                        \
	do {                                                                                       \
		print_error("%s:%u: ", (tr)->path, (tr)->line);                                    \
		print_error(__VA_ARGS__);                                                          \
		print_error("\n");                                                                 \
		fail();                                                                            \
	} while (0)

/* The value of " @key=" in @line, or @dflt. Durations ("3ms") are in ns; plain numbers have no
 * unit. */
static uint64_t trace_value(struct trace *tr, const char *line, const char *key, uint64_t dflt)
{
	char want[32], text[64];
	struct err e;
	const char *p;
	uint64_t v;

	snprintf(want, sizeof(want), " %s=", key);
	p = strstr(line, want);
	if (!p)
		return dflt;
	if (sscanf(p + strlen(want), "%63s", text) != 1)
		trace_fail(tr, "no value for %s", key);
	if (text[strspn(text, "0123456789")] == '\0')
		return strtoull(text, NULL, 10);
	if (duration_parse(text, &v, &e))
		trace_fail(tr, "%s", e.msg);
	return v;
}

/* The quoted text of a line, or NULL. */
static char *trace_text(char *line)
{
	char *a = strchr(line, '"'), *b = a ? strchr(a + 1, '"') : NULL;

	if (!b)
		return NULL;
	*b = '\0';
	return a + 1;
}

static void trace_open(struct trace *tr, const char *line)
{
	struct source_params p = {
		.downtime_limit_ns = trace_value(tr, line, "limit", 10000000),
		.on_stall = strstr(line, " freeze-on-stall")  ? MIG_ON_STALL_FREEZE
			    : strstr(line, " abort-on-stall") ? MIG_ON_STALL_ABORT
							      : MIG_ON_STALL_THROTTLE,
		.answer_timeout_ns = 10000000000ull,
		.limits = { { trace_value(tr, line, "init", 30000000000ull),
			trace_value(tr, line, "copy", 0),
			trace_value(tr, line, "quiesce", 5000000000ull),
			trace_value(tr, line, "frozen", 5000000000ull) } },
		.rtt_ns = trace_value(tr, line, "rtt", 0),
		.epoch = trace_value(tr, line, "epoch", 0),
		.arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS,
	};
	struct target_params tp = { .commit_timeout_ns = HANDOVER_COMMIT_NS,
		.acquire_timeout_ns = HANDOVER_ACQUIRE_NS,
		.arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS };

	tr->is_source = strncmp(line, "source", 6) == 0;
	if (!tr->is_source && strncmp(line, "target", 6) != 0)
		trace_fail(tr, "the first line must be 'source' or 'target'");
	source_init(&tr->s, &p);
	target_init(&tr->t, &tp);
}

static void trace_event(struct trace *tr, char *line)
{
	uint64_t a, b, c, d;
	char name[32];
	char *text;
	int i;

	tr->now += trace_value(tr, line, "after", 0);
	a = trace_value(tr, line, "a", 0);
	b = trace_value(tr, line, "b", 0);
	c = trace_value(tr, line, "c", 0);
	d = trace_value(tr, line, "d", 0);
	text = trace_text(line);
	if (sscanf(line, "> %31s", name) != 1)
		trace_fail(tr, "no event");
	for (i = 0; i < (tr->is_source ? (int)SOURCE_EVENTS : (int)TARGET_EVENTS); i++) {
		const char *known = tr->is_source ? source_event_name((enum source_event_type)i)
						  : target_event_name((enum target_event_type)i);

		if (strcmp(known, name) == 0)
			break;
	}
	if (tr->is_source && i < SOURCE_EVENTS)
		source_step(&tr->s, &(struct source_event){ (enum source_event_type)i, tr->now, a,
					    b, c, d, text ? -EIO : 0, text });
	else if (!tr->is_source && i < TARGET_EVENTS)
		target_step(&tr->t, &(struct target_event){ (enum target_event_type)i, tr->now, a,
					    b, c, text ? -EIO : 0, text });
	else
		trace_fail(tr, "unknown event %s", name);
}

/* Takes the machine's next to-do as text: "send", "round a=3"; "" for none. */
static void trace_take(struct trace *tr, char *out, size_t n)
{
	struct source_todo sd;
	struct target_todo td;
	const char *name = NULL;
	uint64_t a = 0;

	if (tr->is_source && source_todo(&tr->s, &sd)) {
		name = source_todo_name(sd.type);
		a = sd.a;
	} else if (!tr->is_source && target_todo(&tr->t, &td)) {
		name = target_todo_name(td.type);
		a = td.a;
	}
	if (!name)
		out[0] = '\0';
	else if (a)
		snprintf(out, n, "%s a=%" PRIu64, name, a);
	else
		snprintf(out, n, "%s", name);
}

static void trace_nothing_left(struct trace *tr)
{
	char got[64];

	trace_take(tr, got, sizeof(got));
	if (got[0])
		trace_fail(tr, "the machine also asks for '%s'", got);
}

static void trace_line(struct trace *tr, char *line)
{
	const char *state =
		tr->is_source ? source_state_name(tr->s.state) : target_state_name(tr->t.state);
	const char *msg = tr->is_source ? tr->s.err.msg : tr->t.err.msg;
	char got[64];

	switch (line[0]) {
	case '>':
		trace_nothing_left(tr);
		trace_event(tr, line);
		return;
	case '<':
		trace_take(tr, got, sizeof(got));
		if (strcmp(got, line + 2) != 0)
			trace_fail(tr, "expected '%s', the machine asks for '%s'", line + 2, got);
		break;
	case '=':
		if (strcmp(state, line + 2) != 0)
			trace_fail(tr, "expected state %s, it is %s", line + 2, state);
		break;
	case '?':
		if (!strstr(msg, line + 2))
			trace_fail(tr, "expected '%s' in the error, it is '%s'", line + 2, msg);
		break;
	default: trace_fail(tr, "a line starts with > < = ? or #");
	}
	tr->steps++;
}

static void trace_replay(void **state)
{
	struct trace tr = { .path = *state };
	bool open = false;
	char line[256];
	FILE *f = fopen(tr.path, "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		tr.line++;
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (open)
			trace_line(&tr, line);
		else
			trace_open(&tr, line);
		open = true;
	}
	fclose(f);
	trace_nothing_left(&tr);
	assert_true(tr.steps > 0);
}

static int trace_wanted(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && strcmp(dot, ".trace") == 0;
}

int main(void)
{
	struct CMUnitTest tests[128] = { 0 };
	const char *dir = "tests/golden";
	struct dirent **list;
	int n = scandir(dir, &list, trace_wanted, alphasort);

	if (n <= 0 || n > 128) {
		fprintf(stderr, "no traces in %s: run from the project's root\n", dir);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char *path;

		if (asprintf(&path, "%s/%s", dir, list[i]->d_name) < 0)
			return 1;
		tests[i] = (struct CMUnitTest){ path + strlen(dir) + 1, trace_replay, NULL, NULL,
			path };
		free(list[i]);
	}
	free(list);
	n = _cmocka_run_group_tests("golden traces", tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < 128; i++)
		free(tests[i].initial_state);
	return n;
}
