/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari list: every guest of this host that answers, and those that do not. Sockets of dead
 * processes are removed on the way.
 * Next in the flow: hv/ctl/client.h.
 */
#include <stdio.h>

#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/ctl/client.h"

static error_t list_option(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	if (key == 'j')
		*json = true;
	else if (key == ARGP_KEY_ARG)
		argp_error(state, "there is nothing to do with '%s'", arg);
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp_option list_options[] = {
	{ .name = "json", .key = 'j', .doc = "Print an array with the status of each guest" },
	{ 0 },
};

static const struct argp list_argp = {
	.options = list_options,
	.parser = list_option,
	.doc = "List the guests of this host, by the sockets in $WATARI_RUNTIME_DIR (default "
	       "/run/watari). Sockets whose process is dead are removed.",
};

/* A guest's status; one that does not answer is listed too, with nothing but its name. */
static json_t *list_status(const char *name)
{
	json_t *answer;

	if (ctl_ask(NULL, name, "status", &answer, NULL) < 0)
		return json_pack("{s:s,s:s}", "name", name, "state", "not-answering");
	json_object_del(answer, "ok");
	return answer;
}

static void list_row(const json_t *g)
{
	const char *name = json_string_value(json_object_get(g, "name"));
	const char *state = json_string_value(json_object_get(g, "state"));
	char memory[32], uptime[32];

	size_format((uint64_t)json_integer_value(json_object_get(g, "memory_bytes")), memory,
		sizeof(memory));
	duration_format((uint64_t)json_integer_value(json_object_get(g, "uptime_ns")), uptime,
		sizeof(uptime));
	printf("%-24s %-13s %8lld %5lld %11s %11s\n", name ? name : "?", state ? state : "?",
		(long long)json_integer_value(json_object_get(g, "pid")),
		(long long)json_integer_value(json_object_get(g, "cpus")), memory, uptime);
}

int cmd_list(int argc, char **argv)
{
	bool json = false;
	struct err e = { 0 };
	char **names;
	json_t *all = json_array(), *g;
	size_t n, i;

	cmd_parse(&list_argp, argc, argv, &json);
	if (ctl_list(NULL, &names, &n, &e) < 0) {
		json_decref(all);
		return cmd_fail(&e);
	}
	for (i = 0; i < n; i++)
		json_array_append_new(all, list_status(names[i]));
	ctl_list_free(names, n);
	if (json)
		ask_print_json(all);
	else if (n)
		printf("%-24s %-13s %8s %5s %11s %11s\n", "NAME", "STATE", "PID", "CPUS", "MEMORY",
			"UPTIME");
	if (!json)
		json_array_foreach(all, i, g) list_row(g);
	json_decref(all);
	return CMD_OK;
}
