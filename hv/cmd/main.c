/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of commands and the way into them. Must never know what a command does.
 * Next in the flow: run.c, receive.c, migrate.c, ask.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/migrate/rendezvous.h"

static int cmd_help(int argc, char **argv);

static const struct cmd commands[] = {
	{ "run", "start a guest and stay with it", cmd_run },
	{ "receive", "wait for guests that move to this host", cmd_receive },
	{ "migrate", "move a running guest to another host", cmd_migrate },
	{ "check", "tell whether a guest could move to another host", cmd_check },
	{ "cancel", "give up the move of a guest", cmd_cancel },
	{ "own", "run a guest here that is in doubt", cmd_own },
	{ "history", "list the moves of this host", cmd_history },
	{ "list", "list the guests of this host", cmd_list },
	{ "show", "print a guest's definition", cmd_show },
	{ "status", "tell how a guest is", cmd_status },
	{ "console", "show a guest's console and type at it", cmd_console },
	{ "stop", "press a guest's power button and wait", cmd_stop },
	{ "reset", "start a guest again from power-on", cmd_reset },
	{ "pause", "stop a guest's virtual CPUs", cmd_pause },
	{ "resume", "let a paused guest go on", cmd_resume },
	{ "balloon", "tell a guest how much memory to keep", cmd_balloon },
	{ "kill", "end a guest at once", cmd_kill },
	{ "keygen", "make a key that two hosts share", cmd_keygen },
	{ "probe", "tell which transports this host can use", cmd_probe },
	{ "bench", "measure moves with a guest made for it", cmd_bench },
	{ "help", "list the commands, or explain one", cmd_help },
	{ "incoming", NULL, cmd_incoming }, /* what receive starts for each guest */
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct cmd *main_find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void main_list(FILE *to)
{
	fprintf(to, "Usage: watari COMMAND [OPTION...]\n\n"
		    "A KVM hypervisor whose guests move to another host while they run.\n\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		if (commands[i].summary)
			fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].summary);
	}
	fprintf(to, "\n'watari COMMAND --help' explains a command; watari(1) is the manual.\n");
}

static int main_unknown(const char *what, const char *name)
{
	fprintf(stderr, "watari: unknown %s '%s'; 'watari help' lists what there is\n", what, name);
	return CMD_USAGE;
}

static int main_run(const struct cmd *c, int argc, char **argv)
{
	char name[32];

	snprintf(name, sizeof(name), "watari %s", c->name);
	argv[0] = name;
	return c->run(argc, argv);
}

static int cmd_help(int argc, char **argv)
{
	char help[] = "--help";
	char *args[] = { argv[0], help, NULL };
	const struct cmd *c;

	if (argc < 2 || argv[1][0] == '-') {
		main_list(stdout);
		return CMD_OK;
	}
	c = main_find(argv[1]);
	if (!c || c->run == cmd_help)
		return main_unknown("command", argv[1]);
	return main_run(c, 2, args);
}

void cmd_take_name(const char **name, const char *arg, struct argp_state *state)
{
	if (*name)
		argp_error(state, "one guest at a time: what is '%s'?", arg);
	*name = arg;
}

void cmd_need_name(const char *name, struct argp_state *state)
{
	if (!name)
		argp_error(state, "which guest? NAME is missing");
}

void cmd_need_target(const char *name, const char *to, struct argp_state *state)
{
	if (!name || !to)
		argp_error(state, "%s is missing", name ? "--to" : "NAME");
}

int cmd_downtime_limit(const char *text, uint64_t *ns, struct err *e)
{
	int rc = duration_parse(text, ns, e);

	if (rc == 0 && (*ns == 0 || *ns > 60 * NSEC_PER_SEC))
		rc = err_set(e, -EINVAL, "downtime limit '%s' is not between 1ns and 60s", text);
	return rc;
}

int cmd_fail(const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "watari: %s\n", e->msg);
	return CMD_FAIL;
}

static void main_version(FILE *to, struct argp_state *state)
{
	(void)state;
	fprintf(to, "watari %s\n", rdv_software());
}

void cmd_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	argp_err_exit_status = CMD_USAGE;
	argp_program_version_hook = main_version;
	argp_parse(argp, argc, argv, 0, NULL, input);
}

int main(int argc, char **argv)
{
	const struct cmd *c;

	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error return, not the end */
	if (argc < 2) {
		main_list(stderr);
		return CMD_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 ||
		strcmp(argv[1], "--usage") == 0 || strcmp(argv[1], "-h") == 0) {
		main_list(stdout);
		return CMD_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		main_version(stdout, NULL);
		return CMD_OK;
	}
	c = main_find(argv[1]);
	if (!c)
		return main_unknown(argv[1][0] == '-' ? "option" : "command", argv[1]);
	return main_run(c, argc - 1, argv + 1);
}
