/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari balloon: how much memory the guest keeps, and how it uses it.
 * Next in the flow: hv/ctl/balloon.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/ctl/client.h"

#define BALLOON_FRESH_NS NSEC_PER_SEC         /* statistics this young need not be asked for anew */
#define BALLOON_PAUSE_NS (20 * NSEC_PER_MSEC) /* a guest that runs has answered after a few */
#define BALLOON_TRIES    10

struct balloon_args {
	const char *name, *size;
	bool json;
};

static const struct argp_option balloon_options[] = {
	{ .name = "json", .key = 'j', .doc = "Print the answer as one JSON object" },
	{ 0 },
};

static error_t balloon_option(int key, char *arg, struct argp_state *state)
{
	struct balloon_args *a = state->input;

	switch (key) {
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG:
		if (a->size)
			argp_error(state, "one guest and one size: what is '%s'?", arg);
		*(a->name ? &a->size : &a->name) = arg;
		break;
	case ARGP_KEY_END: cmd_need_name(a->name, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static uint64_t balloon_get(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

/* Each look asks the guest for newer statistics, which the next one then finds. */
static int balloon_look(const char *name, json_t **answer, struct err *e)
{
	const struct timespec pause = { .tv_nsec = (long)BALLOON_PAUSE_NS };
	int rc = ctl_ask(NULL, name, "balloon", answer, e);

	for (int i = 0; rc == 0 && i < BALLOON_TRIES; i++) {
		const json_t *stats = json_object_get(*answer, "stats");

		if (!stats || balloon_get(stats, "age_ns") < BALLOON_FRESH_NS)
			break;
		nanosleep(&pause, NULL);
		json_decref(*answer);
		rc = ctl_ask(NULL, name, "balloon", answer, e);
	}
	return rc;
}

static void balloon_line(const char *label, uint64_t bytes)
{
	char buf[32];

	printf("%-16s%s\n", label, size_format(bytes, buf, sizeof(buf)));
}

static void balloon_tell(const char *name, const json_t *j)
{
	const json_t *stats = json_object_get(j, "stats");

	printf("%-16s%s\n", "name", name);
	balloon_line("memory", balloon_get(j, "memory_bytes"));
	if (!json_is_true(json_object_get(j, "active"))) {
		printf("%-16s%s\n", "balloon", "the guest has no driver for it");
		return;
	}
	balloon_line("asked to keep", balloon_get(j, "asked_bytes"));
	balloon_line("keeps", balloon_get(j, "size_bytes"));
	balloon_line("reported free", balloon_get(j, "reported_bytes"));
	if (json_object_get(stats, "free_bytes"))
		balloon_line("free there", balloon_get(stats, "free_bytes"));
	if (json_object_get(stats, "available_bytes"))
		balloon_line("available there", balloon_get(stats, "available_bytes"));
}

static int balloon_ask(const struct balloon_args *a, json_t **answer, struct err *e)
{
	uint64_t bytes;
	int rc;

	if (!a->size)
		return balloon_look(a->name, answer, e);
	rc = size_parse(a->size, &bytes, e);
	if (rc == 0 && bytes > INT64_MAX)
		rc = err_set(e, -EINVAL, "size '%s' is out of range", a->size);
	if (rc)
		return rc;
	return ctl_ask_json(NULL, a->name,
		json_pack("{s:s,s:I}", "op", "balloon", "size", (json_int_t)bytes), answer, e);
}

int cmd_balloon(int argc, char **argv)
{
	const struct argp argp = {
		.options = balloon_options,
		.parser = balloon_option,
		.args_doc = "NAME [SIZE]",
		.doc = "Ask guest NAME to keep SIZE bytes of its memory, for example 512M, and to give "
		       "the rest back to this host; it does as it can, and takes it again when SIZE "
		       "grows. Without SIZE, tell how much it keeps and how it uses it.",
	};
	struct balloon_args args = { 0 };
	struct err e = { 0 };
	json_t *answer;

	cmd_parse(&argp, argc, argv, &args);
	if (balloon_ask(&args, &answer, &e) < 0)
		return cmd_fail(&e);
	json_object_del(answer, "ok");
	if (args.json) {
		json_object_set_new(answer, "name", json_string(args.name));
		ask_print_json(answer);
	} else {
		balloon_tell(args.name, answer);
	}
	json_decref(answer);
	return CMD_OK;
}
