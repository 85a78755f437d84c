/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari run: checks everything that can be checked, takes the name, builds the machine, boots it.
 * Next in the flow: hv/vm/vm.c builds, guest_main.c runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/define.h"
#include "hv/cmd/detach.h"
#include "hv/cmd/guest_main.h"
#include "hv/cmd/state_dir.h"
#include "hv/ctl/history.h"
#include "hv/vm/place.h"

struct run_args {
	struct define_args define;
	const char *log;
	bool paused, detach, force;
};

enum { RUN_PAUSED = 256, RUN_LOG, RUN_FORCE };

static const struct argp_option run_options[] = {
	{ .name = "paused", .key = RUN_PAUSED, .doc = "Wait for 'watari resume' before starting" },
	{ .name = "detach",
		.key = 'd',
		.doc = "Leave the terminal once the guest runs; 'watari console' leads to it" },
	{ .name = "log",
		.key = RUN_LOG,
		.arg = "FILE|journal",
		.doc = "Where a detached guest's process reports (default: the journal, if there is one)" },
	{ .name = "force",
		.key = RUN_FORCE,
		.doc = "Start even a guest that has moved to another host" },
	{ 0 },
};

static error_t run_option(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case RUN_PAUSED: a->paused = true; break;
	case 'd': a->detach = true; break;
	case RUN_LOG: a->log = arg; break;
	case RUN_FORCE: a->force = true; break;
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->define; break;
	case ARGP_KEY_END:
		if (!a->define.source && !define_flag(&a->define, "name"))
			argp_error(state, "--name is missing, or a guest's FILE or NAME");
		if (!a->define.source && !define_flag(&a->define, "kernel"))
			argp_error(state, "--kernel is missing");
		if (a->log && !a->detach)
			argp_error(state, "--log is for --detach");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child run_children[] = {
	{ .argp = &define_argp },
	{ 0 },
};

static const struct argp run_argp = {
	.options = run_options,
	.parser = run_option,
	.children = run_children,
	.args_doc = "[FILE|NAME]",
	.doc = "Start a guest and stay with it until it powers off, is ended, or has moved to another "
	       "host. FILE defines it (an INI file; with a slash, or ending in .ini), or the "
	       "definition that this host keeps of NAME, or the options alone; an option overrides "
	       "the key of its name. On a terminal Ctrl-A is the escape key: Ctrl-A h lists what it "
	       "does.",
};

/* That a file is there and can be read; what is in it is the loader's business. */
static int run_check_file(const char *what, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return err_errno(e, "cannot read the %s %s", what, path);
	if (fstat(fd, &st) < 0)
		rc = err_errno(e, "cannot read the %s %s", what, path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, -EINVAL, "the %s %s is not a file", what, path);
	else if (st.st_size == 0)
		rc = err_set(e, -EINVAL, "the %s %s is empty", what, path);
	close(fd);
	return rc;
}

/* What the history says of a guest whose definition this host does not keep. */
static void run_left(const char *name, struct inifile_moved *m)
{
	json_t *left;

	if (!history_left(ctl_state_dir(), name, &left))
		return;
	snprintf(m->to, sizeof(m->to), "%s", json_string_value(json_object_get(left, "to")));
	snprintf(m->at, sizeof(m->at), "%s", json_string_value(json_object_get(left, "time")));
	json_decref(left);
}

/* A guest that went elsewhere is not started here by habit. */
static int run_check_moved(
	const struct run_args *a, const struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	struct vm_config *kept = malloc(sizeof(*kept));

	if (!kept)
		return err_set(e, -ENOMEM, "no memory for a definition");
	/* A definition that is not there, or cannot be read, says nothing about a move. */
	if (!m->to[0] && state_load(c->name, kept, m, NULL) < 0)
		m->to[0] = '\0';
	free(kept);
	if (!m->to[0])
		run_left(c->name, m);
	if (!m->to[0] || a->force)
		return 0;
	return err_set(e, -EEXIST,
		"guest %s moved to %s on %s and may run there; --force starts it here all the same",
		c->name, m->to, m->at);
}

/* The guest lives here again: nobody is asked for --force next time, wherever it is written down.
 */
static void run_forced(const char *name)
{
	struct err e = { 0 };

	if (history_forced(ctl_state_dir(), name, HISTORY_MOST, &e) < 0)
		log_warn("that guest %s was started here is not in the history: %s", name, e.msg);
}

/* A detached guest's console is behind a socket, unless it was sent elsewhere. */
static int run_serial(const struct run_args *a, struct vm_config *c, struct err *e)
{
	const char *flag = define_flag(&a->define, "serial");

	if (!a->detach || strcmp(c->serial, "stdio") != 0)
		return 0;
	if (flag)
		return err_set(e, -EINVAL,
			"a detached guest has no terminal: --serial is one of socket, file:PATH, none");
	strcpy(c->serial, "socket");
	return 0;
}

static int run_config(
	const struct run_args *a, struct vm_config *c, struct inifile_moved *moved, struct err *e)
{
	int rc = define_config(&a->define, c, moved, e);

	if (rc < 0 || (rc = run_serial(a, c, e)) < 0)
		return rc;
	rc = vm_config_check(c, e);
	if (rc < 0 && a->define.source)
		err_wrap(e, "%s", a->define.source);
	if (rc == 0)
		rc = run_check_moved(a, c, moved, e);
	if (rc < 0 || (rc = run_check_file("kernel", c->kernel, e)) < 0)
		return rc;
	if (c->initrd[0] && (rc = run_check_file("initrd", c->initrd, e)) < 0)
		return rc;
	if ((rc = backing_check(&c->backing, c->memory, e)) < 0 ||
		(rc = place_fits(c->place, &cpus_host, e)) < 0)
		return rc;
	return gmem_check_size(c->memory, vm_config_overcommit(c), e);
}

/* All that must be done before the first thread, and the machine. */
static int run_build(const struct run_args *a, const struct vm_config *c, struct guest_main_args *m,
	struct err *e)
{
	int rc = 0;

	if (a->detach) {
		rc = m->log_fd = detach_log(a->log, c->name, e);
		if (rc >= 0)
			rc = detach_fork(c->name, &m->notify_fd, e);
	}
	/* The lock is the child's: it goes with the process that took it. */
	if (rc < 0 || (rc = ctl_claim_take(m->claim, ctl_runtime_dir(), c->name, e)) < 0)
		return rc;
	rc = m->signal_fd = guest_signals(e);
	if (rc >= 0)
		rc = vm_new(&m->vm, c, e);
	return rc < 0 ? rc : vm_boot(m->vm, e);
}

int cmd_run(int argc, char **argv)
{
	struct guest_main_args main_args = { .notify_fd = -1, .log_fd = -1, .signal_fd = -1 };
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct run_args args = { 0 };
	struct inifile_moved moved;
	struct vm_config config;
	struct err e = { 0 };

	cmd_parse(&run_argp, argc, argv, &args);
	if (run_config(&args, &config, &moved, &e) < 0)
		return cmd_fail(&e);
	main_args.claim = &claim;
	main_args.paused = args.paused;
	if (run_build(&args, &config, &main_args, &e) < 0) {
		vm_free(main_args.vm);
		ctl_claim_drop(&claim);
		return cmd_fail(&e);
	}
	if (moved.to[0])
		run_forced(config.name);
	return guest_main(&main_args);
}
