/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari check: looks whether a guest could move, and moves nothing. The guest's process does the
 * looking, for it holds the guest's disks and knows its processor.
 * Next in the flow: hv/ctl/check.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/cmd/checks.h"
#include "hv/cmd/cmd.h"
#include "hv/ctl/addr.h"
#include "hv/ctl/client.h"
#include "hv/ctl/secure.h"

/* Not 1 and 2, which every command has for an error and for a wrong command line. */
enum check_exit { CHECK_WARN = 3, CHECK_FAIL = 4 };

#define CHECK_MS 60000 /* a target that hangs is given up by the guest's process before */

struct check_args {
	const char *name, *to, *transport, *limit, *tls, *psk;
	struct checks_skip skip;
	bool json, encrypt;
};

enum { CHECK_TRANSPORT = 256, CHECK_LIMIT, CHECK_SKIP, CHECK_TLS, CHECK_PSK, CHECK_ENCRYPT };

static const struct argp_option check_options[] = {
	{ .name = "to", .key = 't', .arg = "ADDR:PORT", .doc = "Where 'watari receive' listens" },
	{ .name = "skip",
		.key = CHECK_SKIP,
		.arg = "CHECK,...",
		.doc = "Leave these checks out; only those without which a move is safe" },
	{ .name = "transport",
		.key = CHECK_TRANSPORT,
		.arg = "auto|rdma|tcp",
		.doc = "As of 'watari migrate' (default auto)" },
	{ .name = "downtime-limit",
		.key = CHECK_LIMIT,
		.arg = "TIME",
		.doc = "What the blackout is held against (default 10ms)" },
	{ .name = "tls", .key = CHECK_TLS, .arg = "DIR", .doc = "As of 'watari migrate'" },
	{ .name = "psk", .key = CHECK_PSK, .arg = "FILE", .doc = "As of 'watari migrate'" },
	{ .name = "encrypt", .key = CHECK_ENCRYPT, .doc = "As of 'watari migrate'" },
	{ .name = "json", .key = 'j', .doc = "Print the result as one JSON object" },
	{ 0 },
};

static error_t check_option(int key, char *arg, struct argp_state *state)
{
	struct check_args *a = state->input;

	switch (key) {
	case 't': a->to = arg; break;
	case CHECK_TRANSPORT: a->transport = arg; break;
	case CHECK_LIMIT: a->limit = arg; break;
	case CHECK_TLS: a->tls = arg; break;
	case CHECK_PSK: a->psk = arg; break;
	case CHECK_ENCRYPT: a->encrypt = true; break;
	case CHECK_SKIP:
		if (checks_skip_add(&a->skip, arg) < 0)
			argp_error(state, "--skip is there too often");
		break;
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->name, arg, state); break;
	case ARGP_KEY_END: cmd_need_target(a->name, a->to, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp check_argp = {
	.options = check_options,
	.parser = check_option,
	.args_doc = "NAME",
	.doc = "Look whether guest NAME, which runs, could move to the host where 'watari receive' "
	       "listens on ADDR:PORT, and move nothing. Prints every check with its result, and how to "
	       "mend it. Exits with 0 if all pass, 3 if there are warnings, 4 if a move would fail or "
	       "is not safe.",
};

static int check_request(const struct check_args *a, json_t **out, struct err *e)
{
	struct chan_want secure;
	struct ctl_addr to;
	uint64_t limit;
	int rc;

	if ((rc = ctl_addr_parse(a->to, NULL, 1, &to, e)) < 0 ||
		(rc = cmd_downtime_limit(a->limit, &limit, e)) < 0 ||
		(rc = chan_want_parse(&secure, a->tls, a->psk, a->encrypt, e)) < 0 ||
		(rc = chan_want_check(&secure, e)) < 0)
		return rc;
	*out = json_pack("{s:s,s:s,s:s,s:I}", "op", "check", "to", a->to, "transport", a->transport,
		"downtime_limit_ns", (json_int_t)limit);
	if (!*out)
		return err_set(e, -EINVAL, "an argument is not UTF-8 text");
	rc = ctl_secure_put(&secure, *out, e);
	return rc < 0 ? rc : checks_skip_put(&a->skip, *out, e);
}

/* The answer, however long it takes. */
static int check_wait(struct ctl_client *c, json_t **answer, struct err *e)
{
	int rc = ctl_client_recv(c, answer, CHECK_MS, e);

	if (rc == 0)
		return err_set(e, -ETIMEDOUT, "the guest's process does not answer");
	if (rc < 0)
		return rc;
	rc = ctl_answer_check(*answer, e);
	return rc < 0 ? rc : 0;
}

static int check_exit(const json_t *answer)
{
	const char *result = json_string_value(json_object_get(answer, "result"));

	if (result && (strcmp(result, "pass") == 0 || strcmp(result, "skipped") == 0))
		return CMD_OK;
	return result && strcmp(result, "warn") == 0 ? CHECK_WARN : CHECK_FAIL;
}

static int check_tell(const struct check_args *a, json_t *answer)
{
	const char *result = json_string_value(json_object_get(answer, "result"));
	int code = check_exit(answer);
	const json_t *one;
	size_t i;

	if (a->json) {
		json_object_del(answer, "ok");
		json_object_set_new(answer, "name", json_string(a->name));
		json_object_set_new(answer, "to", json_string(a->to));
		ask_print_json(answer);
		return code;
	}
	json_array_foreach(json_object_get(answer, "checks"), i, one) checks_tell(one);
	if (code == CHECK_FAIL)
		printf("guest %s cannot move to %s as it is\n", a->name, a->to);
	else if (code == CHECK_WARN)
		printf("guest %s can move to %s; mind the warnings\n", a->name, a->to);
	else
		printf("guest %s can move to %s%s\n", a->name, a->to,
			strcmp(result, "skipped") == 0 ? ", as far as was looked" : "");
	return code;
}

int cmd_check(int argc, char **argv)
{
	struct check_args args = { .transport = "auto", .limit = "10ms" };
	json_t *request = NULL, *answer = NULL;
	struct ctl_client *c = NULL;
	struct err e = { 0 };
	int rc;

	cmd_parse(&check_argp, argc, argv, &args);
	rc = check_request(&args, &request, &e);
	if (rc == 0)
		rc = ctl_client_open(&c, NULL, args.name, &e);
	if (rc == 0)
		rc = ctl_client_send(c, request, &e);
	if (rc == 0)
		rc = check_wait(c, &answer, &e);
	rc = rc < 0 ? cmd_fail(&e) : check_tell(&args, answer);
	json_decref(request);
	json_decref(answer);
	ctl_client_close(c);
	return rc;
}
