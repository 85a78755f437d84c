/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari probe: what each transport could do here, and towards an address, and why not. Asks this
 * host only: the other end says its half when a guest moves.
 * Must never connect to anybody.
 * Next in the flow: transports.c, then each transport's probe().
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hv/cmd/ask.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/transports.h"
#include "hv/ctl/addr.h"

struct probe_args {
	const char *addr, *rdma_device;
	bool json;
};

enum { PROBE_DEVICE = 256 };

static const struct argp_option probe_options[] = {
	{ .name = "json", .key = 'j', .doc = "Print the answer as one JSON object" },
	{ .name = "rdma-device",
		.key = PROBE_DEVICE,
		.arg = "NAME",
		.doc = "Over RDMA, ask for this device alone, as a move with the same option does" },
	{ 0 },
};

static error_t probe_option(int key, char *arg, struct argp_state *state)
{
	struct probe_args *a = state->input;

	switch (key) {
	case 'j': a->json = true; break;
	case PROBE_DEVICE: a->rdma_device = arg; break;
	case ARGP_KEY_ARG:
		if (a->addr)
			argp_error(state, "one address at a time: what is '%s'?", arg);
		a->addr = arg;
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp probe_argp = {
	.options = probe_options,
	.parser = probe_option,
	.args_doc = "[ADDR]",
	.doc = "Tell what each transport can do on this host, best first, and towards ADDR if given: an "
	       "address or name, with or without a port. Exits with 0 if at least one can be used.",
};

/* The host in @text, which may have a port; a bare IPv6 address may not. Resolved, as a check. */
static int probe_host(const char *text, struct xport_addr *out, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	struct ctl_addr a;
	int rc;

	if (strchr(text, ':') && ctl_addr_parse(text, NULL, 0, &a, NULL) == 0)
		text = a.host;
	rc = cmd_copy(out->host, sizeof(out->host), text, "the address", e);
	if (rc < 0)
		return rc;
	rc = getaddrinfo(out->host, NULL, &hints, &list);
	if (rc)
		return err_set(
			e, -EHOSTUNREACH, "cannot resolve '%s': %s", out->host, gai_strerror(rc));
	freeaddrinfo(list);
	return 0;
}

/* The best that can be used here; NULL: none. */
static const char *probe_best(const struct rdv_transports *can)
{
	for (unsigned i = 0; i < can->n; i++) {
		if (can->t[i].can.usable)
			return can->t[i].name;
	}
	return NULL;
}

static void probe_json(const char *host, const struct rdv_transports *can)
{
	const char *best = probe_best(can);
	json_t *list = json_array(), *j;

	for (unsigned i = 0; i < can->n; i++) {
		const struct rdv_transport *t = &can->t[i];

		json_array_append_new(list, json_pack("{s:s,s:b,s:s}", "name", t->name, "usable",
						    t->can.usable, "why", t->can.why));
	}
	j = json_pack("{s:s?,s:s?,s:o}", "address", host, "best", best, "transports", list);
	ask_print_json(j);
	json_decref(j);
}

static void probe_tell(const char *host, const struct rdv_transports *can)
{
	const char *best = probe_best(can);

	for (unsigned i = 0; i < can->n; i++)
		printf("%-6s %-10s %s\n", can->t[i].name,
			can->t[i].can.usable ? "usable" : "unusable", can->t[i].can.why);
	if (best)
		printf("a move%s%s takes %s, if the target can use it too\n", host ? " to " : "",
			host ? host : "", best);
	else
		printf("no guest can move%s%s from here\n", host ? " to " : "", host ? host : "");
}

int cmd_probe(int argc, char **argv)
{
	struct xport_addr addr = { .streams = 1 };
	struct probe_args args = { 0 };
	struct rdv_transports can;
	struct xport_list all;
	struct err e = { 0 };
	const char *host;

	cmd_parse(&probe_argp, argc, argv, &args);
	if (xport_rdma_parse(args.rdma_device, NULL, &addr.rdma, &e) < 0)
		return cmd_fail(&e);
	if (args.addr && probe_host(args.addr, &addr, &e) < 0)
		return cmd_fail(&e);
	if (transports_find("auto", &all, &e) < 0)
		return cmd_fail(&e);
	host = args.addr ? addr.host : NULL;
	choose_probe(&all, &addr, &can);
	if (args.json)
		probe_json(host, &can);
	else
		probe_tell(host, &can);
	return probe_best(&can) ? CMD_OK : CMD_FAIL;
}
