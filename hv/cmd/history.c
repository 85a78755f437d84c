/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari history: the moves that began or ended on this host. Reads, asks nobody.
 * Next in the flow: hv/ctl/history.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/ctl/history.h"
#include "hv/ctl/proto.h"

struct history_args {
	const char *name;
	bool json;
	unsigned lines;
};

static error_t history_option(int key, char *arg, struct argp_state *state)
{
	struct history_args *a = state->input;

	switch (key) {
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->name, arg, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option history_options[] = {
	{ .name = "json",
		.key = 'j',
		.doc = "Print each move as one JSON object with all its figures" },
	{ 0 },
};

static const struct argp history_argp = {
	.options = history_options,
	.parser = history_option,
	.args_doc = "[NAME]",
	.doc = "List the moves from and to this host, or those of guest NAME, oldest first, as kept in "
	       "history.jsonl in $WATARI_STATE_DIR (default /var/lib/watari).",
};

static const char *history_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "?";
}

static const char *history_duration(const json_t *value, char *out, size_t n)
{
	if (json_integer_value(value) > 0)
		return duration_format((uint64_t)json_integer_value(value), out, n);
	snprintf(out, n, "-");
	return out;
}

static void history_row(void *arg, const json_t *line)
{
	struct history_args *a = arg;
	const json_t *blackout = json_object_get(line, "blackout");
	const char *why = json_string_value(json_object_get(line, "error"));
	const char *skipped = json_string_value(json_object_get(line, "skipped"));
	char total[32], black[32];

	if (a->json) {
		ask_print_json(line);
		return;
	}
	if (a->lines++ == 0)
		printf("%-24s %-16s %-3s %-22s %-22s %-9s %10s %10s\n", "TIME", "GUEST", "", "FROM",
			"TO", "RESULT", "TOTAL", "BLACKOUT");
	printf("%-24s %-16s %-3s %-22s %-22s %-9s %10s %10s\n", history_text(line, "time"),
		history_text(line, "guest"), history_text(line, "direction"),
		history_text(line, "from"), history_text(line, "to"), history_text(line, "result"),
		history_duration(json_object_get(line, "total_ns"), total, sizeof(total)),
		history_duration(json_object_get(blackout, "total_ns"), black, sizeof(black)));
	if (skipped)
		printf("    without the checks %s\n", skipped);
	if (why)
		printf("    %s\n", why);
}

int cmd_history(int argc, char **argv)
{
	struct history_args args = { 0 };
	struct err e = { 0 };
	unsigned bad;

	cmd_parse(&history_argp, argc, argv, &args);
	if (args.name && !ctl_name_ok(args.name))
		err_set(&e, -EINVAL, "'%s' is not the name of a guest", args.name);
	else
		history_read(ctl_state_dir(), args.name, history_row, &args, &bad, &e);
	if (e.code)
		return cmd_fail(&e);
	if (bad)
		log_warn("%u lines of the history in %s are no moves and were passed over", bad,
			ctl_state_dir());
	return CMD_OK;
}
