/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari run: checks everything that can be checked, takes the name, builds the machine, boots it.
 * Next in the flow: hv/vm/vm.c builds, guest_main.c runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/guest_main.h"

struct run_args {
	const char *name, *cpus, *memory, *kernel, *initrd, *append, *serial, *tracking;
	bool overcommit, paused;
};

enum {
	RUN_CPUS = 256,
	RUN_INITRD,
	RUN_APPEND,
	RUN_SERIAL,
	RUN_TRACKING,
	RUN_OVERCOMMIT,
	RUN_PAUSED
};

static const struct argp_option run_options[] = {
	{ .name = "name",
		.key = 'n',
		.arg = "NAME",
		.doc = "What the guest is called on this host" },
	{ .name = "cpus", .key = RUN_CPUS, .arg = "N", .doc = "Virtual CPUs (default 1)" },
	{ .name = "memory",
		.key = 'm',
		.arg = "SIZE[,KIND...]",
		.doc = "Guest memory, for example 12G (default 512M); KIND is hugepages=2M|1G, thp=on, "
		       "numa=N[,N...], prealloc=on" },
	{ .name = "kernel",
		.key = 'k',
		.arg = "FILE",
		.doc = "A Linux bzImage or an ELF with a PVH entry" },
	{ .name = "initrd", .key = RUN_INITRD, .arg = "FILE", .doc = "Initial RAM disk" },
	{ .name = "append", .key = RUN_APPEND, .arg = "TEXT", .doc = "Kernel command line" },
	{ .name = "serial",
		.key = RUN_SERIAL,
		.arg = "stdio|file:PATH|none",
		.doc = "Where the serial port leads (default stdio)" },
	{ .name = "dirty-tracking",
		.key = RUN_TRACKING,
		.arg = "auto|ring|log",
		.doc = "How a move finds pages the guest wrote (default auto)" },
	{ .name = "overcommit",
		.key = RUN_OVERCOMMIT,
		.doc = "Do not refuse a guest larger than the memory that is free" },
	{ .name = "paused", .key = RUN_PAUSED, .doc = "Wait for 'watari resume' before starting" },
	{ 0 },
};

static error_t run_option(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case 'n': a->name = arg; break;
	case 'm': a->memory = arg; break;
	case 'k': a->kernel = arg; break;
	case RUN_CPUS: a->cpus = arg; break;
	case RUN_INITRD: a->initrd = arg; break;
	case RUN_APPEND: a->append = arg; break;
	case RUN_SERIAL: a->serial = arg; break;
	case RUN_TRACKING: a->tracking = arg; break;
	case RUN_OVERCOMMIT: a->overcommit = true; break;
	case RUN_PAUSED: a->paused = true; break;
	case ARGP_KEY_ARG: argp_error(state, "there is nothing to do with '%s'", arg); break;
	case ARGP_KEY_END:
		if (!a->name || !a->kernel)
			argp_error(state, "%s is missing", a->name ? "--kernel" : "--name");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp run_argp = {
	.options = run_options,
	.parser = run_option,
	.doc = "Start a guest and stay with it until it powers off, is ended, or has moved to another "
	       "host. On a terminal Ctrl-A is the escape key: Ctrl-A h lists what it does.",
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

/* A path that is still right when the guest has moved or this process has another directory. */
static int run_path(char *dst, const char *what, const char *path, struct err *e)
{
	char full[PATH_MAX];

	if (!realpath(path, full))
		return err_errno(e, "cannot read the %s %s", what, path);
	return cmd_copy(dst, VM_PATH_MAX, full, what, e);
}

/* "file:PATH" with PATH made absolute, for the same reason; everything else as it is. */
static int run_serial(char *dst, const char *text, struct err *e)
{
	char dir[PATH_MAX], full[2 * PATH_MAX];

	if (strncmp(text, "file:", 5) != 0 || text[5] == '/' || text[5] == '\0')
		return cmd_copy(dst, VM_PATH_MAX, text, "--serial", e);
	if (!getcwd(dir, sizeof(dir)))
		return err_errno(e, "cannot tell the current directory");
	snprintf(full, sizeof(full), "file:%s/%s", dir, text + 5);
	return cmd_copy(dst, VM_PATH_MAX, full, "--serial", e);
}

static int run_config(const struct run_args *a, struct vm_config *c, struct err *e)
{
	uint64_t cpus;
	int rc;

	if ((rc = cmd_copy(c->name, sizeof(c->name), a->name, "the name", e)) < 0 ||
		(rc = number_parse(a->cpus, "cpus", 1, VM_CPUS_MAX, &cpus, e)) < 0 ||
		(rc = backing_parse(a->memory, &c->memory, &c->backing, e)) < 0 ||
		(rc = run_path(c->kernel, "kernel", a->kernel, e)) < 0 ||
		(rc = cmd_copy(c->append, sizeof(c->append), a->append, "the kernel command line",
			 e)) < 0 ||
		(rc = run_serial(c->serial, a->serial, e)) < 0 ||
		(rc = cmd_tracking_parse(a->tracking, &c->tracking, e)) < 0)
		return rc;
	if (a->initrd && (rc = run_path(c->initrd, "initrd", a->initrd, e)) < 0)
		return rc;
	c->cpus = (unsigned)cpus;
	c->overcommit = a->overcommit;
	if ((rc = vm_config_check(c, e)) < 0 || (rc = run_check_file("kernel", c->kernel, e)) < 0)
		return rc;
	if (a->initrd && (rc = run_check_file("initrd", c->initrd, e)) < 0)
		return rc;
	if ((rc = backing_check(&c->backing, c->memory, e)) < 0)
		return rc;
	return gmem_check_size(c->memory, vm_config_overcommit(c), e);
}

int cmd_run(int argc, char **argv)
{
	struct run_args args = {
		.cpus = "1", .memory = "512M", .append = "", .serial = "stdio", .tracking = "auto"
	};
	struct guest_main_args main_args = { .rdv_fd = -1, .notify_fd = -1 };
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct vm_config config = { 0 };
	struct err e = { 0 };

	cmd_parse(&run_argp, argc, argv, &args);
	if (run_config(&args, &config, &e) < 0 ||
		ctl_claim_take(&claim, ctl_runtime_dir(), config.name, &e) < 0)
		return cmd_fail(&e);
	main_args.claim = &claim;
	main_args.paused = args.paused;
	main_args.signal_fd = guest_signals(&e);
	if (main_args.signal_fd < 0 || vm_new(&main_args.vm, &config, &e) < 0 ||
		vm_boot(main_args.vm, &e) < 0) {
		vm_free(main_args.vm);
		ctl_claim_drop(&claim);
		return cmd_fail(&e);
	}
	return guest_main(&main_args);
}
