/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the subcommands share: exit codes, argument parsing, the one place that prints errors. Only
 * this folder exits and prints; only it composes machine, control and transports.
 * Next in the flow: main.c (the list of commands), then one file per subcommand.
 */
#ifndef WATARI_CMD_CMD_H
#define WATARI_CMD_CMD_H

#include <argp.h>
#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/vm/vm.h"

enum cmd_exit { CMD_OK = 0, CMD_FAIL = 1, CMD_USAGE = 2 };

struct cmd {
	const char *name;
	const char *summary;               /* one line; NULL: not for people, not listed */
	int (*run)(int argc, char **argv); /* argv[0] is "watari NAME"; returns the exit code */
};

int cmd_run(int argc, char **argv);
int cmd_incoming(int argc, char **argv);
int cmd_receive(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_balloon(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_own(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_bench(int argc, char **argv);

/* "watari: MESSAGE" on stderr; returns CMD_FAIL. */
int cmd_fail(const struct err *e);

/*
 * argp_parse() in our manner: exits 0 after --help, --usage, --version and CMD_USAGE after an
 * unknown option or a missing argument. Values are checked by the callers, who return CMD_FAIL.
 */
void cmd_parse(const struct argp *argp, int argc, char **argv, void *input);

/* For an argp parser: the argument NAME, of which there is one, and that it is there at the end. */
void cmd_take_name(const char **name, const char *arg, struct argp_state *state);
void cmd_need_name(const char *name, struct argp_state *state);
/* ... of a command that also has --to. */
void cmd_need_target(const char *name, const char *to, struct argp_state *state);
/* What --downtime-limit says, ns: 1 to 60 s. -EINVAL. */
int cmd_downtime_limit(const char *text, uint64_t *ns, struct err *e);

/*
 * Sets @key of [guest] to what an option of its name says, for an arriving guest; @text NULL: it
 * was not given. -EINVAL, as for the definition.
 */
int cmd_guest_key(struct vm_config *c, const char *key, const char *text, struct err *e);

/* Copies a string option into a field of @size bytes; the error names @what. */
int cmd_copy(char *dst, size_t size, const char *text, const char *what, struct err *e);

#endif
