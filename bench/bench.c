/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of what `watari bench` can do, and `watari bench guest`.
 * Next in the flow: bench/downtime.c.
 */
#include "bench/bench.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/ends.h"
#include "hv/migrate/rendezvous.h"

static const struct bench_command {
	const char *name;
	char *title; /* argv[0] of the subcommand, for its usage lines */
	int (*main)(int argc, char **argv, bench_transports at);
	const char *does;
} commands[] = {
	{ "downtime", "watari bench downtime", bench_downtime_main,
		"measure the blackout of moves on this machine" },
	{ "transport", "watari bench transport", bench_transport_main,
		"measure the transports alone" },
	{ "tracker", "watari bench tracker", bench_tracker_main,
		"measure what dirty tracking costs" },
	{ "target", "watari bench target", bench_target_main,
		"be the far end of downtime --target" },
	{ "demo", "watari bench demo", bench_demo_main, "move a running guest and show it" },
	{ "guest", "watari bench guest", bench_guest_main, "write the bench guest's kernel" },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void bench_usage(FILE *out)
{
	fprintf(out, "Usage: watari bench COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].does);
	fprintf(out, "\nwatari bench COMMAND --help tells more.\n");
}

static void bench_version(FILE *to, struct argp_state *state)
{
	(void)state;
	fprintf(to, "watari %s\n", rdv_software());
}

int bench_main(int argc, char **argv, bench_transports at)
{
	argp_err_exit_status = 2;
	argp_program_version_hook = bench_version;
	if (argc < 2) {
		bench_usage(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0) {
		bench_usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		argv[1] = commands[i].title;
		return commands[i].main(argc - 1, argv + 1, at);
	}
	fprintf(stderr, "watari: there is no bench '%s': watari bench --help lists them\n",
		argv[1]);
	return 2;
}

/* ---- watari bench guest ---- */

static error_t guest_parse(int key, char *arg, struct argp_state *state)
{
	const char **path = state->input;

	if (key == 'o')
		*path = arg;
	else if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected argument '%s'", arg);
	else if (key == ARGP_KEY_END && !*path)
		argp_error(state, "it takes --output FILE");
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp_option guest_options[] = {
	{ "output", 'o', "FILE", 0, "where to write it", 0 },
	{ 0 },
};
static const struct argp guest_argp = {
	.options = guest_options,
	.parser = guest_parse,
	.doc = "Writes the bench guest, a PVH ELF, for `watari run --kernel` or another hypervisor.",
};

int bench_guest_main(int argc, char **argv, bench_transports at)
{
	const char *path = NULL;
	struct err e = { 0 };

	(void)at;
	if (argp_parse(&guest_argp, argc, argv, 0, NULL, &path) != 0)
		return 2;
	if (ends_write_guest(path, &e) < 0) {
		fprintf(stderr, "watari: %s\n", e.msg);
		return 1;
	}
	return 0;
}
