/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what can be said to watari receive (see receive_args.h). Must never open what it names.
 * Next in the flow: receive.c.
 */
#include "hv/cmd/receive_args.h"

#include "hv/base/size.h"
#include "hv/cmd/cmd.h"
#include "hv/ctl/slots.h"
#include "hv/migrate/xport_addr.h"
#include "hv/vm/place.h"

enum {
	RECEIVE_TRUST = 256,
	RECEIVE_ONCE,
	RECEIVE_SERIAL,
	RECEIVE_TRACKING,
	RECEIVE_OVERCOMMIT,
	RECEIVE_DEVICE,
	RECEIVE_PIN,
	RECEIVE_TLS,
	RECEIVE_PSK,
	RECEIVE_ENCRYPT,
	RECEIVE_MOVES,
	RECEIVE_PLACE
};

static const struct argp_option receive_options[] = {
	{ .name = "listen",
		.key = 'l',
		.arg = "ADDR:PORT",
		.doc = "Where guests arrive; without ADDR: 127.0.0.1; port 0: any" },
	{ .name = "trust-network",
		.key = RECEIVE_TRUST,
		.doc = "Allow an address others can reach, although peers are not authenticated" },
	{ .name = "serial",
		.key = RECEIVE_SERIAL,
		.arg = "socket|file:PATH|stdio|none",
		.doc = "Where the console of arriving guests leads (default: as before the move, "
		       "but socket instead of stdio)" },
	{ .name = "once",
		.key = RECEIVE_ONCE,
		.doc = "End after one connection, with 0 if its guest arrived" },
	{ .name = "dirty-tracking",
		.key = RECEIVE_TRACKING,
		.arg = "auto|ring|log",
		.doc = "How a later move finds pages the guest wrote (default auto)" },
	{ .name = "max-moves",
		.key = RECEIVE_MOVES,
		.arg = "N",
		.doc = "Let at most N guests be on their way to this host at once, 1 to 64 (default 8)" },
	{ .name = "vcpu-cpus",
		.key = RECEIVE_PLACE,
		.arg = "CPUS|VCPU:CPUS[,...]|any",
		.doc = "Where the threads of the virtual CPUs of arriving guests run (default: as the "
		       "definition that this host keeps of the guest says, else any)" },
	{ .name = "overcommit",
		.key = RECEIVE_OVERCOMMIT,
		.doc = "Do not refuse a guest larger than the memory that is free" },
	{ .name = "rdma-device",
		.key = RECEIVE_DEVICE,
		.arg = "NAME",
		.doc = "Over RDMA, take guests on this device alone" },
	{ .name = "rdma-pin",
		.key = RECEIVE_PIN,
		.arg = "auto|all|chunk|odp",
		.doc = "Over RDMA, how this end registers what the source asks for: odp by on-demand "
		       "paging, the others by pinning, auto with on-demand paging where pinning "
		       "does not fit (default auto)" },
	{ .name = "tls",
		.key = RECEIVE_TLS,
		.arg = "DIR",
		.doc = "Take guests under TLS alone, from sources whose certificate DIR/ca.pem "
		       "vouches for; this host's are DIR/cert.pem and DIR/key.pem" },
	{ .name = "psk",
		.key = RECEIVE_PSK,
		.arg = "FILE",
		.doc = "Take guests under TLS alone, from a source that has the same key file (see "
		       "'watari keygen')" },
	{ .name = "encrypt",
		.key = RECEIVE_ENCRYPT,
		.doc = "Take guests only if their memory comes encrypted, too" },
	{ 0 },
};

static error_t receive_option(int key, char *arg, struct argp_state *state)
{
	struct receive_args *a = state->input;

	switch (key) {
	case 'l': a->listen = arg; break;
	case RECEIVE_TRUST: a->trust = true; break;
	case RECEIVE_SERIAL: a->serial = arg; break;
	case RECEIVE_ONCE: a->once = true; break;
	case RECEIVE_TRACKING: a->tracking = arg; break;
	case RECEIVE_OVERCOMMIT: a->overcommit = true; break;
	case RECEIVE_DEVICE: a->rdma_device = arg; break;
	case RECEIVE_PIN: a->rdma_pin = arg; break;
	case RECEIVE_TLS: a->tls = arg; break;
	case RECEIVE_PSK: a->psk = arg; break;
	case RECEIVE_ENCRYPT: a->encrypt = true; break;
	case RECEIVE_MOVES: a->max_moves = arg; break;
	case RECEIVE_PLACE: a->place = arg; break;
	case ARGP_KEY_ARG: argp_error(state, "there is nothing to do with '%s'", arg); break;
	case ARGP_KEY_END:
		if (!a->listen && !a->given)
			argp_error(state, "--listen is missing");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

const struct argp receive_argp = {
	.options = receive_options,
	.parser = receive_option,
	.doc = "Wait for guests that move to this host. Each one gets a process of its own, which "
	       "goes on as a guest of this host when this command ends.",
};

/* What would fail for every guest is said at once. */
int receive_args_check(struct receive_args *a, struct err *e)
{
	struct vm_config c = { .name = "any",
		.cpus = VM_CPUS_MAX,
		.memory = GMEM_SIZE_MIN,
		.kernel = "/any",
		.serial = "none" };
	struct xport_rdma rdma;
	uint64_t most;
	int rc = cmd_guest_key(&c, "dirty-tracking", a->tracking, e);

	if (rc == 0)
		rc = number_parse(a->max_moves, "max-moves", 1, CTL_SLOTS_MAX, &most, e);
	if (rc == 0)
		rc = xport_rdma_parse(a->rdma_device, a->rdma_pin, &rdma, e);
	if (rc == 0 && a->serial)
		rc = cmd_copy(c.serial, sizeof(c.serial), a->serial, "--serial", e);
	if (rc == 0)
		rc = cmd_guest_key(&c, "vcpu-cpus", a->place, e);
	if (rc == 0)
		rc = place_fits(c.place, &cpus_host, e);
	if (rc == 0)
		rc = vm_config_check(&c, e);
	if (rc == 0)
		rc = chan_want_parse(&a->secure, a->tls, a->psk, a->encrypt, e);
	return rc ? rc : chan_want_check(&a->secure, e);
}
