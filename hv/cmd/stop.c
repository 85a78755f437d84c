/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari stop: presses the guest's power button and waits until it has powered off. Must never end
 * a guest that was not asked first.
 * Next in the flow: hv/ctl/guest.c.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/ctl/client.h"

#define STOP_LINE_NS (5 * NSEC_PER_SEC) /* between lines where there is no terminal */

struct stop_args {
	const char *name, *timeout;
	bool force, json;
};

enum { STOP_TIMEOUT = 256, STOP_FORCE };

static const struct argp_option stop_options[] = {
	{ .name = "timeout",
		.key = STOP_TIMEOUT,
		.arg = "TIME",
		.doc = "How long the guest may take (default 30s)" },
	{ .name = "force", .key = STOP_FORCE, .doc = "End it after that time" },
	{ .name = "json", .key = 'j', .doc = "Print the answer as one JSON object" },
	{ 0 },
};

static error_t stop_option(int key, char *arg, struct argp_state *state)
{
	struct stop_args *a = state->input;

	switch (key) {
	case STOP_TIMEOUT: a->timeout = arg; break;
	case STOP_FORCE: a->force = true; break;
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->name, arg, state); break;
	case ARGP_KEY_END: cmd_need_name(a->name, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp stop_argp = {
	.options = stop_options,
	.parser = stop_option,
	.args_doc = "NAME",
	.doc = "Press the power button of guest NAME and wait until it has powered off.",
};

/* Says now and then that it still waits. */
static void stop_progress(const struct stop_args *a, uint64_t since, uint64_t *last)
{
	uint64_t now = clock_mono_ns(), s = (now - since) / NSEC_PER_SEC;
	bool terminal = isatty(STDOUT_FILENO);

	if (a->json || now - *last < (terminal ? NSEC_PER_SEC : STOP_LINE_NS))
		return;
	*last = now;
	printf("%swaiting for guest %s to power off, %llu s%s", terminal ? "\r" : "", a->name,
		(unsigned long long)s, terminal ? "\033[K" : "\n");
	fflush(stdout);
}

/* 1: it has powered off; 0: it has not in that time. */
static int stop_wait(
	const struct stop_args *a, struct ctl_client *c, uint64_t timeout, struct err *e)
{
	uint64_t since = clock_mono_ns(), last = since, now = since;
	json_t *answer = NULL;
	int rc = 0;

	while (rc == 0 && now - since < timeout) {
		uint64_t left = (timeout - (now - since)) / NSEC_PER_MSEC + 1;

		rc = ctl_client_recv(c, &answer, left < 500 ? (int)left : 500, e);
		stop_progress(a, since, &last);
		now = clock_mono_ns();
	}
	if (last != since && isatty(STDOUT_FILENO))
		printf("\r\033[K");
	if (rc > 0)
		rc = ctl_answer_check(answer, e) < 0 ? e->code : 1;
	json_decref(answer);
	return rc;
}

static int stop_run(const struct stop_args *a, const char **how, struct err *e)
{
	struct ctl_client *c = NULL;
	json_t *request = json_pack("{s:s}", "op", "stop");
	uint64_t timeout;
	int rc = duration_parse(a->timeout, &timeout, e), process = -1;

	if (rc == 0)
		rc = ctl_client_open(&c, NULL, a->name, e);
	if (rc == 0)
		process = ctl_client_process(c);
	if (rc == 0)
		rc = ctl_client_send(c, request, e);
	if (rc == 0)
		rc = stop_wait(a, c, timeout, e);
	json_decref(request);
	ctl_client_close(c);
	ctl_process_gone(process, rc > 0 ? CTL_END_MS : 0);
	*how = "powered off";
	if (rc)
		return rc < 0 ? rc : 0;
	if (!a->force)
		return err_set(e, -ETIMEDOUT,
			"guest %s has not powered off in %s: it may not listen to its power button; "
			"--force ends it then, and so does 'watari kill'",
			a->name, a->timeout);
	*how = "did not power off in time and is ended";
	return ctl_kill(NULL, a->name, NULL, e);
}

int cmd_stop(int argc, char **argv)
{
	struct stop_args args = { .timeout = "30s" };
	struct err e = { 0 };
	const char *how;

	cmd_parse(&stop_argp, argc, argv, &args);
	if (stop_run(&args, &how, &e) < 0)
		return cmd_fail(&e);
	if (args.json) {
		json_t *j = json_pack("{s:s,s:b}", "name", args.name, "powered_off", how[0] == 'p');

		ask_print_json(j);
		json_decref(j);
	} else {
		printf("guest %s %s\n", args.name, how);
	}
	return CMD_OK;
}
