/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the main loop of a guest's process (see guest_main.h). Must never block in it.
 * Invariant: the terminal and the name are given back on every way out.
 * Next in the flow: hv/ctl/guest.c.
 */
#include "hv/cmd/guest_main.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/console.h"
#include "hv/cmd/detach.h"
#include "hv/cmd/state_dir.h"
#include "hv/cmd/transports.h"
#include "hv/ctl/guest.h"

struct guest_process {
	struct guest_main_args *args;
	struct loop *loop;
	struct ctl_guest *guest;
	const char *name;
};

int guest_signals(struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 ? fd : err_errno(e, "cannot watch for signals");
}

static void process_signal(void *arg, uint32_t events)
{
	struct guest_process *p = arg;
	struct signalfd_siginfo si;

	(void)events;
	if (read(p->args->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	log_info("guest %s is ended by SIG%s", p->name, sigabbrev_np((int)si.ssi_signo));
	loop_stop(p->loop, CMD_OK);
}

static void process_input(void *arg, const void *data, size_t n)
{
	struct guest_process *p = arg;

	vm_input(p->args->vm, data, n);
}

static size_t process_room(void *arg)
{
	struct guest_process *p = arg;

	return vm_input_room(p->args->vm);
}

static void process_took(void *arg)
{
	(void)arg;
	console_room();
}

static void process_quit(void *arg)
{
	struct guest_process *p = arg;

	log_info("guest %s is ended by Ctrl-A x", p->name);
	loop_stop(p->loop, CMD_OK);
}

static void process_pause(void *arg)
{
	struct guest_process *p = arg;
	struct vm_info info;
	struct err e = { 0 };
	bool pause;

	vm_info(p->args->vm, &info);
	pause = !(info.hold & VM_HOLD_USER);
	if (ctl_guest_pause(p->guest, pause, NULL, &e) < 0)
		log_warn("%s", e.msg);
	else
		log_info("guest %s %s", p->name, pause ? "is paused" : "goes on");
}

static void process_notify(struct guest_process *p, const char *byte)
{
	int fd = p->args->notify_fd;

	if (fd < 0)
		return;
	if (byte && write(fd, byte, 1) < 0)
		log_debug("nobody asks any more whether guest %s arrived", p->name);
	close(fd);
	p->args->notify_fd = -1;
}

/* The host keeps the definition of a guest that was made from a file, wherever it lives. */
static void process_keep(struct guest_process *p, const struct inifile_moved *m)
{
	const struct vm_config *c = vm_config(p->args->vm);
	struct err e = { 0 };

	if (c->persistent && state_keep(c, m, &e) < 0)
		log_warn("the definition of guest %s is not kept: %s", p->name, e.msg);
}

static void process_arrived(void *arg, const struct mig_result *r)
{
	struct guest_process *p = arg;

	ctl_slot_close(p->args->slot);
	process_keep(p, NULL);
	/* The source prints the other figures; what it cost this host only this host knows. */
	process_notify(p, "A");
	if (!r->transport[0]) { /* settled by hand: there are no figures */
		printf("guest %s lives here\n", p->name);
		fflush(stdout);
		return;
	}
	printf("guest %s arrived over %s; processor time: %.1f ms to receive, %.1f ms to allocate memory\n",
		p->name, r->transport, (double)r->receive_cpu_ns / 1e6,
		(double)r->allocate_cpu_ns / 1e6);
	fflush(stdout);
}

static void process_left(void *arg, const struct ctl_addr *to)
{
	struct inifile_moved moved;
	char addr[CTL_ADDR_MAX];

	state_moved(&moved, ctl_addr_format(to, addr));
	process_keep(arg, &moved);
}

static void process_end(void *arg, enum ctl_end why, const struct ctl_addr *to,
	const struct mig_result *r, const struct err *e)
{
	struct guest_process *p = arg;
	char addr[CTL_ADDR_MAX], blackout[32];
	int code = CMD_OK;

	console_close();
	switch (why) {
	case CTL_END_SHUTDOWN: log_info("guest %s powered off", p->name); break;
	case CTL_END_KILLED: log_info("guest %s is ended on request", p->name); break;
	case CTL_END_MOVED:
		printf("guest %s moved to %s, blackout %s\n", p->name, ctl_addr_format(to, addr),
			duration_format(r->blackout.total_ns, blackout, sizeof(blackout)));
		fflush(stdout);
		break;
	case CTL_END_CRASH:
		fprintf(stderr, "watari: guest %s crashed: %s\n", p->name, e->msg);
		code = CMD_FAIL;
		break;
	case CTL_END_LOST:
		fprintf(stderr, "watari: guest %s did not arrive: %s\n", p->name, e->msg);
		code = CMD_FAIL;
		break;
	}
	loop_stop(p->loop, code);
}

static int process_console(struct guest_process *p, struct err *e)
{
	const struct console_ops ops = {
		.input = process_input,
		.room = process_room,
		.quit = process_quit,
		.pause = process_pause,
		.arg = p,
	};

	if (strcmp(vm_config(p->args->vm)->serial, "stdio") != 0)
		return 0;
	return console_open(p->loop, &ops, e);
}

/* Control first, so that whoever sees the guest run can also reach it; then the guest. */
static int process_start(struct guest_process *p, struct err *e)
{
	const struct ctl_guest_hooks hooks = {
		.transports = transports_find,
		.arrived = process_arrived,
		.left = process_left,
		.room = process_took,
		.end = process_end,
		.arg = p,
	};
	struct guest_main_args *a = p->args;
	int rc;

	p->loop = loop_new(e);
	if (!p->loop)
		return e->code;
	rc = loop_add(p->loop, a->signal_fd, EPOLLIN, process_signal, p, e);
	if (rc == 0)
		rc = ctl_guest_new(&p->guest, p->loop, a->vm, a->claim, &hooks, e);
	if (rc < 0)
		return rc;
	if (a->offer) {
		rc = ctl_guest_arrive(p->guest, a->chan, a->listen_host, &a->rdma, a->offer, e);
		if (rc == 0)
			a->chan = NULL;
		else
			rdv_refuse_send(a->chan, e->msg);
		return rc;
	}
	rc = process_console(p, e);
	if (rc == 0 && a->paused)
		rc = vm_hold(a->vm, VM_HOLD_USER, e);
	if (rc < 0)
		return rc;
	process_keep(p, NULL);
	vm_release(a->vm, VM_HOLD_SETUP);
	if (a->log_fd >= 0)
		detach_output(a->log_fd);
	process_notify(p, "A");
	transports_warm(); /* the process of a guest that arrives has looked at them already */
	return 0;
}

int guest_main(struct guest_main_args *a)
{
	char name[VM_NAME_MAX];
	struct guest_process p = { .args = a, .name = name };
	struct err e = { 0 };
	int rc;

	snprintf(name, sizeof(name), "%s", vm_config(a->vm)->name);
	rc = process_start(&p, &e);
	if (rc < 0)
		rc = cmd_fail(&e);
	else
		rc = loop_run(p.loop);
	console_close();
	if (a->slot)
		ctl_slot_close(a->slot);
	ctl_claim_drop(a->claim);
	process_notify(&p, NULL);
	if (p.guest && ctl_guest_moving(p.guest)) {
		/* a move's thread still uses the machine; the peer sees the end of this process */
		fflush(stdout);
		_exit(rc);
	}
	ctl_guest_free(p.guest);
	vm_free(a->vm);
	loop_free(p.loop);
	close(a->signal_fd);
	return rc;
}
