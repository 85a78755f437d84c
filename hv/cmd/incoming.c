/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari incoming: what receive has for each connection, started ahead of it. Reads the offer,
 * builds the machine it describes, lets the guest arrive, and lives on as the guest's process. Not
 * for people. Must never trust the offer: everything in it is checked as a person's command line
 * would be. Next in the flow: hv/migrate/rendezvous.c reads the offer, guest_main.c runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/guest_main.h"
#include "hv/cmd/incoming_check.h"
#include "hv/cmd/ready.h"
#include "hv/cmd/receive_args.h"
#include "hv/cmd/state_dir.h"
#include "hv/ctl/history.h"
#include "hv/cmd/transports.h"
#include "hv/ctl/addr.h"
#include "hv/ctl/client.h"
#include "hv/vm/place.h"

#define INCOMING_OFFER_NS (4 * NSEC_PER_SEC) /* a peer that says nothing for so long is dropped */

struct incoming_args {
	const char *fd, *notify_fd;
	struct receive_args as; /* what its receiver was told, of which it does its part */
};

enum { INCOMING_FD = 512, INCOMING_NOTIFY };

static const struct argp_option incoming_options[] = {
	{ .name = "fd", .key = INCOMING_FD, .arg = "N", .doc = "Where the connection is given" },
	{ .name = "notify-fd", .key = INCOMING_NOTIFY, .arg = "N", .doc = "Told of the arrival" },
	{ 0 },
};

static error_t incoming_option(int key, char *arg, struct argp_state *state)
{
	struct incoming_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->as; break;
	case INCOMING_FD: a->fd = arg; break;
	case INCOMING_NOTIFY: a->notify_fd = arg; break;
	case ARGP_KEY_NO_ARGS: /* before anybody's ARGP_KEY_END */
		if (!a->fd)
			argp_error(state, "--fd is missing");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp incoming_argp = {
	.options = incoming_options,
	.parser = incoming_option,
	.doc = "Started by 'watari receive' for each guest that arrives; not meant to be started by hand.",
	.children = (const struct argp_child[]){ { .argp = &receive_argp }, { 0 } },
};

/* The descriptor named by @text; it must be open. It will not be inherited any further. */
static int incoming_fd(const char *text, int *fd, struct err *e)
{
	uint64_t n;
	int rc = number_parse(text, "descriptor", 3, 1 << 20, &n, e);

	if (rc < 0)
		return rc;
	if (fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0)
		return err_errno(e, "descriptor %s cannot be used", text);
	*fd = (int)n;
	return 0;
}

/*
 * Where its vCPUs run is this host's to say: by --vcpu-cpus; else by the definition that it keeps
 * of a guest of that name, if it still can be done. What is said of vCPUs that it lacks is nothing.
 */
static int incoming_vcpus(const struct receive_args *a, struct vm_config *c, struct err *e)
{
	struct vm_config *kept = NULL;
	struct inifile_moved m;
	struct err why = { 0 };
	int rc = 0;

	if (a->place) {
		rc = cmd_guest_key(c, "vcpu-cpus", a->place, e);
	} else if (!(kept = calloc(1, sizeof(*kept)))) {
		rc = err_set(e, -ENOMEM, "no memory for a definition");
	} else if (state_load(c->name, kept, &m, NULL) == 0) {
		if (place_fits(kept->place, &cpus_host, &why) == 0)
			memcpy(c->place, kept->place, sizeof(c->place));
		else
			log_warn("the vCPUs of guest %s are not placed as its definition kept here "
				 "says: %s",
				c->name, why.msg);
	}
	free(kept);
	if (rc == 0)
		place_trim(c->place, c->cpus);
	return rc;
}

/* The definition that came, with what is this host's to say. */
static int incoming_decode(const struct receive_args *a, const struct rdv_offer *offer,
	struct vm_config *c, struct err *e)
{
	struct rbuf r = rbuf_of(offer->config, offer->config_len);
	int rc = vm_config_decode(c, &r, e);

	if (rc < 0)
		return rc;
	if (strcmp(c->name, offer->name) != 0)
		return err_set(e, -EPROTO, "the offer names guest '%s', its definition '%s'",
			offer->name, c->name);
	if (a->serial)
		rc = cmd_copy(c->serial, sizeof(c->serial), a->serial, "--serial", e);
	else if (strcmp(c->serial, "stdio") == 0)
		strcpy(c->serial, "socket"); /* the terminal stayed behind */
	if (rc == 0)
		rc = cmd_guest_key(c, "dirty-tracking", a->tracking, e);
	if (rc == 0)
		rc = incoming_vcpus(a, c, e);
	c->overcommit = a->overcommit;
	c->arriving = true;
	return rc ? rc : vm_config_check(c, e);
}

/* What the guest is here, and whether this host can be its host now. */
static int incoming_config(const struct receive_args *a, const struct rdv_offer *offer,
	struct vm_config *c, struct err *e)
{
	int rc = incoming_decode(a, offer, c, e);

	if (rc == 0)
		rc = gmem_check_size(c->memory, vm_config_overcommit(c), e);
	if (rc == 0 && access(c->kernel, R_OK) < 0)
		log_warn("guest %s will not survive a reboot here: its kernel %s is not readable",
			c->name, c->kernel);
	return rc;
}

/*
 * Waits for the connection that the receiver gives over @hand. Before that, unless it is there
 * already, it does what takes time and is the same for all.
 * 1: there will never be one.
 */
static int incoming_ready(int hand, int *fd, struct err *e)
{
	struct pollfd given = { .fd = hand, .events = POLLIN };
	int rc;

	pthread_setname_np(pthread_self(), READY_NAME);
	if (poll(&given, 1, 0) == 0)
		transports_load();
	rc = ready_take(hand, fd, e);
	pthread_setname_np(pthread_self(), "watari"); /* it was started as /proc/self/exe */
	return rc;
}

/* What this host can do towards the source, which hears it before it chooses. */
static int incoming_transports(struct chan *c, int notify_fd, const struct xport_rdma *rdma,
	struct rdv_transports *here, struct err *e)
{
	struct xport_addr source = { .streams = 1, .rdma = *rdma };
	struct xport_list all;
	int rc = rdv_hello_read(c, &source.memory, INCOMING_OFFER_NS, e);

	if (rc == 0 && notify_fd >= 0)
		(void)!write(notify_fd, "P", 1); /* whoever that is may be here */
	if (rc == 0)
		rc = rdv_host(c->fd, true, source.host, e);
	if (rc == 0)
		rc = transports_find("auto", &all, e);
	if (rc == 0)
		choose_probe(&all, &source, here);
	return rc;
}

/* A definition of that name may be replaced if it says the same, or that its guest went away. */
static int incoming_replaces(const struct vm_config *c, struct err *e)
{
	struct vm_config *kept = calloc(1, sizeof(*kept));
	struct inifile_moved m = { .to = "" };
	struct wbuf a, b;
	int rc = kept ? state_load(c->name, kept, &m, e)
		      : err_set(e, -ENOMEM, "no memory for a definition");

	wbuf_init(&a);
	wbuf_init(&b);
	if (rc == -ENOENT) {
		err_clear(e);
		rc = 0;
	} else if (rc == 0 && !m.to[0]) {
		kept->persistent = true;
		memcpy(kept->uuid, c->uuid, sizeof(kept->uuid)); /* of one life, not kept */
		vm_config_encode(kept, &a);
		vm_config_encode(c, &b);
		if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
			rc = err_set(e, -EEXIST,
				"another definition of guest '%s' is kept there already, in %s/%s.ini",
				c->name, ctl_state_dir(), c->name);
	}
	wbuf_fini(&a);
	wbuf_fini(&b);
	free(kept);
	return rc;
}

/* Keeps the definition of a guest that does not run, and says so to the source. */
static int incoming_keep(const struct receive_args *a, struct guest_main_args *m,
	const struct rdv_offer *offer, struct err *e)
{
	struct vm_config c;
	int rc = incoming_decode(a, offer, &c, e);

	c.persistent = true;
	if (rc == 0)
		rc = incoming_name(m->claim, c.name, e);
	if (rc == 0)
		rc = incoming_replaces(&c, e);
	if (rc == 0)
		rc = state_keep(&c, NULL, e);
	if (rc < 0) {
		rdv_refuse_send(m->chan, e->msg);
		return err_wrap(e, "the definition of guest %s is not kept", offer->name);
	}
	rc = rdv_kept_send(m->chan, INCOMING_OFFER_NS, e);
	if (rc == 0 && m->notify_fd >= 0)
		(void)!write(m->notify_fd, "A", 1);
	printf("the definition of guest %s arrived\n", c.name);
	fflush(stdout);
	return rc;
}

/* One of the places that this host has for guests on their way. 1: there is none. */
static int incoming_place(const struct receive_args *a, struct guest_main_args *m,
	const struct rdv_offer *offer, struct err *e)
{
	char waits[CTL_SLOTS_TEXT], what[CTL_SLOT_TEXT], from[XPORT_HOST_MAX] = "?";
	uint64_t most;
	int rc = number_parse(a->max_moves, "max-moves", 1, CTL_SLOTS_MAX, &most, e);

	if (rc < 0)
		return rc;
	rdv_host(m->chan->fd, true, from, NULL);
	snprintf(what, sizeof(what), "guest %s from %s", offer->name, from);
	rc = ctl_slot_open(m->slot, ctl_runtime_dir(), CTL_IN, (unsigned)most, what, e);
	if (rc == 0)
		rc = ctl_slot_look(m->slot, waits, e);
	if (rc < 0)
		return rc;
	if (m->notify_fd >= 0)
		(void)!write(m->notify_fd, "G", 1);
	if (rc == 1)
		return 0;
	ctl_slot_close(m->slot);
	rdv_busy_send(m->chan, waits);
	err_set(e, -EUSERS, "guest %s did not arrive: %s", offer->name, waits);
	return 1;
}

/*
 * The name, also if a copy of this very guest has it that is in doubt: the source, which runs it,
 * moves it here anew, so that copy is nobody's.
 */
static int incoming_claim(struct guest_main_args *m, const struct vm_config *c, struct err *e)
{
	int rc = incoming_name(m->claim, c->name, e);

	if (rc != -EEXIST || !incoming_doubtful(c->name, c->uuid))
		return rc;
	log_warn("guest %s, in doubt here, moves here anew: that copy is ended", c->name);
	if (ctl_kill(NULL, c->name, NULL, e) == 0) {
		err_clear(e);
		rc = ctl_claim_take(m->claim, ctl_runtime_dir(), c->name, e);
	}
	return rc;
}

/* What the source asks first, then its offer. 1: it only wanted to ask. */
static int incoming_offer(const struct receive_args *a, struct guest_main_args *m,
	struct rdv_offer *offer, struct err *e)
{
	struct incoming_check check = {
		.fd = m->chan->fd, .port = -1, .overcommit = a->overcommit
	};
	const struct rdv_checker checker = { .facts = incoming_check_facts, .arg = &check };
	struct rdv_transports here;
	int rc = incoming_transports(m->chan, m->notify_fd, &m->rdma, &here, e);

	if (rc == 0)
		rc = rdv_offer_read(m->chan, &here, &checker, offer, INCOMING_OFFER_NS, e);
	incoming_check_end(&check);
	return rc;
}

/* All that may fail before the machine stands. The peer hears why. 1: nobody comes. */
static int incoming_build(const struct receive_args *a, struct guest_main_args *m,
	struct rdv_offer *offer, struct err *e)
{
	struct vm_config config;
	struct xport_list one;
	int rc = incoming_offer(a, m, offer, e);

	if (rc)
		return rc; /* it has been answered already, or is not there any more */
	if (offer->definition)
		return incoming_keep(a, m, offer, e);
	rc = incoming_place(a, m, offer, e);
	if (rc == 1)
		return e->code;
	if (rc == 0 && a->encrypt && !offer->encrypt)
		rc = err_set(e, -EACCES,
			"it takes a guest only if its memory is encrypted, too: say --encrypt");
	if (rc == 0)
		rc = transports_find(offer->transport, &one, e);
	if (rc == 0)
		rc = incoming_config(a, offer, &config, e);
	if (rc == 0)
		rc = incoming_claim(m, &config, e);
	if (rc == 0)
		rc = vm_new(&m->vm, &config, e);
	if (rc < 0) {
		rdv_refuse_send(m->chan, e->msg);
		err_wrap(e, "guest %s did not arrive", offer->name);
	}
	return rc;
}

/* Why the peer was refused: the receiver says it, who bounds how often; without one we do. */
static int incoming_refused(int notify_fd, const char *peer, struct err *e)
{
	char word[1 + ERR_MSG_MAX];
	int n = snprintf(word, sizeof(word), "R%s", e->msg);

	if (notify_fd >= 0 && write(notify_fd, word, (size_t)n) == n)
		return CMD_FAIL;
	err_wrap(e, "refused %s", peer);
	return cmd_fail(e);
}

int cmd_incoming(int argc, char **argv)
{
	struct incoming_args args = { .as = RECEIVE_ARGS };
	struct ctl_claim claim = CTL_CLAIM_NONE;
	struct ctl_slot slot = CTL_SLOT_NONE;
	struct guest_main_args m = {
		.claim = &claim, .slot = &slot, .notify_fd = -1, .log_fd = -1
	};
	struct rdv_offer *offer = calloc(1, sizeof(*offer)); /* too large for a stack */
	char host[XPORT_HOST_MAX], peer[XPORT_HOST_MAX] = "";
	struct chan_want want;
	struct err e = { 0 };
	int hand = -1, fd = -1, rc;

	args.as.given = true;
	cmd_parse(&incoming_argp, argc, argv, &args);
	rc = offer ? incoming_fd(args.fd, &hand, &e)
		   : err_set(&e, -ENOMEM, "no memory for an offer");
	if (rc == 0 && args.notify_fd)
		rc = incoming_fd(args.notify_fd, &m.notify_fd, &e);
	if (rc == 0)
		rc = xport_rdma_parse(args.as.rdma_device, args.as.rdma_pin, &m.rdma, &e);
	if (rc == 0 && (rc = incoming_ready(hand, &fd, &e)) == 1) {
		free(offer);
		return CMD_OK;
	}
	if (rc == 0) /* where the source reached us is where its data can reach us too */
		rc = rdv_host(fd, false, host, &e);
	if (rc == 0)
		rc = rdv_host(fd, true, peer, &e);
	if (rc == 0)
		rc = chan_want_parse(&want, args.as.tls, args.as.psk, args.as.encrypt, &e);
	if (rc == 0)
		rc = m.signal_fd = guest_signals(&e);
	if (rc >= 0 && (rc = rdv_welcome(&m.chan, fd, &want, INCOMING_OFFER_NS, &e)) == 0)
		rc = incoming_build(&args.as, &m, offer, &e);
	if (rc == 1 && m.notify_fd >= 0)
		(void)!write(m.notify_fd, "C", 1); /* only looked */
	if (rc || offer->definition) {
		ctl_slot_close(&slot);
		ctl_claim_drop(&claim);
		if (rc < 0)
			rc = peer[0] ? incoming_refused(m.notify_fd, peer, &e) : cmd_fail(&e);
		else
			rc = CMD_OK;
	} else {
		m.offer = offer;
		m.listen_host = host;
		rc = guest_main(&m);
	}
	free(offer);
	return rc;
}
