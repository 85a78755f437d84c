/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari migrate: asks a guest's process to move and shows how it goes. The move itself happens
 * over there; the end of this command gives it up.
 * Next in the flow: hv/ctl/guest.c, hv/ctl/migrate.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/cmd/ask.h"
#include "hv/cmd/checks.h"
#include "hv/cmd/cmd.h"
#include "hv/cmd/migrate_offline.h"
#include "hv/cmd/transports.h"
#include "hv/ctl/addr.h"
#include "hv/ctl/client.h"
#include "hv/ctl/limits.h"
#include "hv/ctl/secure.h"
#include "hv/ctl/slots.h"
#include "hv/migrate/streams.h"

#define MIGRATE_LINE_NS NSEC_PER_SEC /* between plain progress lines */

struct migrate_args {
	const char *name, *to, *transport, *limit, *streams, *on_stall, *bandwidth;
	const char *rdma_device, *rdma_pin, *tls, *psk, *max_moves;
	struct chan_want secure;
	struct ctl_limits limits;
	struct checks_skip skip;
	bool json, verbose, encrypt, no_wait;
};

enum {
	MIGRATE_TRANSPORT = 256,
	MIGRATE_LIMIT,
	MIGRATE_STREAMS,
	MIGRATE_STALL,
	MIGRATE_BANDWIDTH,
	MIGRATE_DEVICE,
	MIGRATE_PIN,
	MIGRATE_TLS,
	MIGRATE_PSK,
	MIGRATE_ENCRYPT,
	MIGRATE_MAX,
	MIGRATE_NO_WAIT,
	MIGRATE_SKIP,
	MIGRATE_TIMEOUT /* and the other phases' */
};

static const struct argp_option migrate_options[] = {
	{ .name = "to", .key = 't', .arg = "ADDR:PORT", .doc = "Where 'watari receive' listens" },
	{ .name = "transport",
		.key = MIGRATE_TRANSPORT,
		.arg = "auto|rdma|tcp",
		.doc = "How the data travels; auto, the default, takes the best that both ends can use, a "
		       "name that and nothing else" },
	{ .name = "downtime-limit",
		.key = MIGRATE_LIMIT,
		.arg = "TIME",
		.doc = "Freeze the guest when the predicted blackout fits (default 10ms)" },
	{ .name = "streams",
		.key = MIGRATE_STREAMS,
		.arg = "N|auto",
		.doc = "Data connections, 1 to 16, or as many as the link and this host's "
		       "processors call for (auto, the default)" },
	{ .name = "on-stall",
		.key = MIGRATE_STALL,
		.arg = "throttle|freeze|abort",
		.doc = "What to do when the guest writes faster than it can be sent: slow it down as "
		       "little as suffices (default), freeze it all the same, or give up" },
	{ .name = "bandwidth",
		.key = MIGRATE_BANDWIDTH,
		.arg = "RATE",
		.doc = "Send at most so many bytes a second while the guest runs, for example 500M "
		       "(default: no limit)" },
	{ .name = "rdma-device",
		.key = MIGRATE_DEVICE,
		.arg = "NAME",
		.doc = "Over RDMA, leave by this device (default: the one on the way to ADDR)" },
	{ .name = "rdma-pin",
		.key = MIGRATE_PIN,
		.arg = "auto|all|chunk|odp",
		.doc = "Over RDMA, what is registered and so pinned: what the guest has touched, in "
		       "chunks, or by on-demand paging where that does not fit (auto, the default); "
		       "everything; chunks and nothing else; on-demand paging and nothing else" },
	{ .name = "tls",
		.key = MIGRATE_TLS,
		.arg = "DIR",
		.doc = "Speak TLS with a target whose certificate DIR/ca.pem vouches for; this host's "
		       "are DIR/cert.pem and DIR/key.pem" },
	{ .name = "psk",
		.key = MIGRATE_PSK,
		.arg = "FILE",
		.doc = "Speak TLS with a target that has the same key file (see 'watari keygen')" },
	{ .name = "encrypt",
		.key = MIGRATE_ENCRYPT,
		.doc = "Encrypt the guest's memory on its way, too, not only what the hosts say to each "
		       "other" },
	{ .name = "init-timeout",
		.key = MIGRATE_TIMEOUT + MIG_LIMIT_INIT,
		.arg = "TIME|none",
		.doc = "Give up if the first page cannot go by then (default 30s)" },
	{ .name = "copy-timeout",
		.key = MIGRATE_TIMEOUT + MIG_LIMIT_COPY,
		.arg = "TIME|none",
		.doc = "Give up if memory is copied for longer (default none)" },
	{ .name = "quiesce-timeout",
		.key = MIGRATE_TIMEOUT + MIG_LIMIT_QUIESCE,
		.arg = "TIME|none",
		.doc = "Give up if CPUs and devices take longer to stop (default 5s)" },
	{ .name = "frozen-timeout",
		.key = MIGRATE_TIMEOUT + MIG_LIMIT_FROZEN,
		.arg = "TIME|none",
		.doc = "Give up if the guest would stay frozen for longer before it is handed over "
		       "(default 1s, or twice the downtime limit if that is more)" },
	{ .name = "max-moves",
		.key = MIGRATE_MAX,
		.arg = "N",
		.doc = "Wait until fewer than N guests are leaving this host, 1 to 64 (default 2)" },
	{ .name = "no-wait",
		.key = MIGRATE_NO_WAIT,
		.doc = "Fail rather than wait for other moves, here or at the target" },
	{ .name = "skip",
		.key = MIGRATE_SKIP,
		.arg = "CHECK,...",
		.doc = "Leave these of the checks before the move out; see 'watari check'" },
	{ .name = "verbose", .key = 'v', .doc = "Tell the steps of the blackout" },
	{ .name = "json",
		.key = 'j',
		.doc = "Print the result as one JSON object, and no progress" },
	{ 0 },
};

static error_t migrate_option(int key, char *arg, struct argp_state *state)
{
	struct migrate_args *a = state->input;

	switch (key) {
	case 't': a->to = arg; break;
	case MIGRATE_TRANSPORT: a->transport = arg; break;
	case MIGRATE_LIMIT: a->limit = arg; break;
	case MIGRATE_STREAMS: a->streams = arg; break;
	case MIGRATE_STALL: a->on_stall = arg; break;
	case MIGRATE_BANDWIDTH: a->bandwidth = arg; break;
	case MIGRATE_DEVICE: a->rdma_device = arg; break;
	case MIGRATE_PIN: a->rdma_pin = arg; break;
	case MIGRATE_TLS: a->tls = arg; break;
	case MIGRATE_PSK: a->psk = arg; break;
	case MIGRATE_ENCRYPT: a->encrypt = true; break;
	case MIGRATE_MAX: a->max_moves = arg; break;
	case MIGRATE_NO_WAIT: a->no_wait = true; break;
	case MIGRATE_TIMEOUT + MIG_LIMIT_INIT:
	case MIGRATE_TIMEOUT + MIG_LIMIT_COPY:
	case MIGRATE_TIMEOUT + MIG_LIMIT_QUIESCE:
	case MIGRATE_TIMEOUT + MIG_LIMIT_FROZEN: a->limits.text[key - MIGRATE_TIMEOUT] = arg; break;
	case MIGRATE_SKIP:
		if (checks_skip_add(&a->skip, arg) < 0)
			argp_error(state, "--skip is there too often");
		break;
	case 'v': a->verbose = true; break;
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->name, arg, state); break;
	case ARGP_KEY_END: cmd_need_target(a->name, a->to, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp migrate_argp = {
	.options = migrate_options,
	.parser = migrate_option,
	.args_doc = "NAME",
	.doc = "Move guest NAME, while it runs, to the host where 'watari receive' listens on "
	       "ADDR:PORT. Ctrl-C, or 'watari cancel NAME', gives the move up; the guest then goes "
	       "on here. Of a guest that does not run, the definition that this host keeps moves.",
};

/* The request, with every value checked here, so that the error is about what was typed. */
static int migrate_request(struct migrate_args *a, json_t **out, struct err *e)
{
	struct xport_list transports;
	struct xport_rdma rdma;
	uint64_t limit, streams = STREAMS_AUTO, bandwidth = 0, most = CTL_SLOTS_OUT;
	enum mig_on_stall stall;
	struct ctl_addr to;
	int rc;

	if ((rc = ctl_addr_parse(a->to, NULL, 1, &to, e)) < 0 ||
		(rc = cmd_downtime_limit(a->limit, &limit, e)) < 0 ||
		(strcmp(a->streams, "auto") != 0 && (rc = number_parse(a->streams, "streams", 1,
							     STREAMS_MAX, &streams, e)) < 0) ||
		(rc = mig_on_stall_parse(a->on_stall, &stall, e)) < 0 ||
		(a->bandwidth && (rc = size_parse(a->bandwidth, &bandwidth, e)) < 0) ||
		(a->max_moves && (rc = number_parse(a->max_moves, "max-moves", 1, CTL_SLOTS_MAX,
					  &most, e)) < 0))
		return rc;
	if (a->bandwidth && (bandwidth < MIG_BANDWIDTH_LEAST || bandwidth > INT64_MAX))
		return err_set(e, -EINVAL, "bandwidth '%s' is less than 1M a second", a->bandwidth);
	if ((rc = transports_find(a->transport, &transports, e)) < 0 ||
		(rc = xport_rdma_parse(a->rdma_device, a->rdma_pin, &rdma, e)) < 0 ||
		(rc = chan_want_parse(&a->secure, a->tls, a->psk, a->encrypt, e)) < 0 ||
		(rc = chan_want_check(&a->secure, e)) < 0)
		return rc;
	*out = json_pack("{s:s,s:s,s:s,s:I,s:s,s:I,s:I,s:s,s:s,s:I,s:b}", "op", "migrate", "to",
		a->to, "transport", a->transport, "downtime_limit_ns", (json_int_t)limit,
		"on_stall", a->on_stall, "streams", (json_int_t)streams, "bandwidth",
		(json_int_t)bandwidth, "rdma_device", rdma.device, "rdma_pin",
		xport_pin_name(rdma.pin), "max_moves", (json_int_t)most, "no_wait",
		(int)a->no_wait);
	if (!*out)
		return err_set(e, -EINVAL, "an argument is not UTF-8 text");
	rc = ctl_secure_put(&a->secure, *out, e);
	if (rc == 0)
		rc = checks_skip_put(&a->skip, *out, e);
	return rc < 0 ? rc : ctl_limits_put(&a->limits, limit, *out, e);
}

/* ---- showing --------------------------------------------------------------------------------- */

struct migrate_show {
	bool terminal, open; /* a line is on the terminal that is to be redrawn */
	json_t *checks;      /* that did not pass */
	uint64_t last_ns;
};

static void migrate_progress(struct migrate_show *s, const struct mig_progress *p)
{
	char sent[32], rate[32], left[32], eta[32] = "-", slow[40] = "";
	uint64_t now = clock_mono_ns();

	if (!s->terminal && (p->phase <= MIG_PHASE_INIT || now - s->last_ns < MIGRATE_LINE_NS))
		return;
	s->last_ns = now;
	if (p->eta_ns)
		duration_format(p->eta_ns, eta, sizeof(eta));
	if (p->share < SOURCE_SHARE_FULL)
		snprintf(slow, sizeof(slow), "  guest slowed to %u %%", (p->share + 5) / 10);
	printf("%s%-6s  round %-3u  sent %10s  %10s/s  left %10s  ETA %8s%s%s",
		s->terminal ? "\r" : "", mig_phase_name(p->phase), p->round,
		size_format(p->sent_bytes, sent, sizeof(sent)),
		size_format(p->goodput, rate, sizeof(rate)),
		size_format(p->residual_bytes, left, sizeof(left)), eta, slow,
		s->terminal ? "\033[K" : "\n");
	fflush(stdout);
	s->open = s->terminal;
}

static void migrate_show_end(struct migrate_show *s)
{
	if (s->open)
		printf("\r\033[K");
	fflush(stdout);
	s->open = false;
}

/* What was taken, and why nothing better. */
static void migrate_chosen(struct migrate_show *s, const json_t *line)
{
	const char *note = json_string_value(json_object_get(line, "note"));
	const char *name = json_string_value(json_object_get(line, "transport"));

	migrate_show_end(s);
	if (note || name)
		printf("transport: %s\n", note ? note : name);
	fflush(stdout);
}

/* What is in the way, each time it is something else. */
static void migrate_waits(struct migrate_show *s, const json_t *line)
{
	const char *waits = json_string_value(json_object_get(line, "for"));

	migrate_show_end(s);
	if (waits)
		printf("waiting for %s\n", waits);
	fflush(stdout);
}

/* Those that failed are in the error, too; what would mend them is not. */
static void migrate_checks(struct migrate_show *s, const json_t *line, bool json)
{
	const json_t *one;
	size_t i;

	json_decref(s->checks);
	s->checks = json_incref(json_object_get(line, "checks"));
	if (json)
		return;
	migrate_show_end(s);
	json_array_foreach(s->checks, i, one) checks_tell(one);
	fflush(stdout);
}

/* What each step took, beside what it was expected to when the guest was frozen. */
static void migrate_steps(const struct mig_blackout *b, const struct mig_blackout *p)
{
	const struct {
		const char *what;
		uint64_t ns, predicted;
	} steps[] = {
		{ "stop the CPUs", b->stop_ns, p->stop_ns },
		{ "find the last pages", b->harvest_ns, p->harvest_ns },
		{ "post the last pages", b->residual_ns, p->residual_ns },
		{ "save the state", b->save_ns, p->save_ns },
		{ "send it, loaded there", b->send_ns, p->send_ns },
		{ "  of that, load", b->load_ns, p->load_ns },
		{ "commit and start", b->start_ns, p->start_ns },
		{ "all of it", b->total_ns, p->total_ns },
	};
	char took[32], said[32];

	printf("  %-22s %10s %10s\n", "the blackout's steps", "took", "predicted");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		printf("  %-22s %10s %10s\n", steps[i].what,
			duration_format(steps[i].ns, took, sizeof(took)),
			duration_format(steps[i].predicted, said, sizeof(said)));
}

static void migrate_tell(const struct migrate_args *a, const struct mig_result *r)
{
	char total[32], sent[32], rate[32], blackout[32];

	printf("guest %s moved to %s in %s: %u round%s, %s sent at %s/s, blackout %s\n", a->name,
		a->to, duration_format(r->total_ns, total, sizeof(total)), r->rounds,
		r->rounds == 1 ? "" : "s", size_format(r->sent_bytes, sent, sizeof(sent)),
		size_format(r->goodput, rate, sizeof(rate)),
		duration_format(r->blackout.total_ns, blackout, sizeof(blackout)));
	if (r->share_least < SOURCE_SHARE_FULL)
		printf("it wrote faster than it could be sent: its writing CPUs were slowed down to "
		       "%.1f %%, which cost each %s\n",
			r->share_least / 10.0,
			duration_format(r->throttled_ns, total, sizeof(total)));
	if (!a->verbose)
		return;
	migrate_steps(&r->blackout, &r->predicted);
	printf("  data connections       %10u\n", r->streams);
}

static int migrate_finish(const struct migrate_args *a, const struct migrate_show *show,
	const json_t *answer, struct err *e)
{
	json_t *result = json_object_get(answer, "result");
	struct mig_result r;
	int rc = ctl_answer_check(answer, e);

	if (rc == 0)
		rc = ctl_result_read(result, &r, e);
	if (rc < 0)
		return rc;
	if (a->json) {
		json_object_set_new(result, "name", json_string(a->name));
		json_object_set_new(result, "to", json_string(a->to));
		if (show->checks)
			json_object_set(result, "checks", show->checks);
		ask_print_json(result);
	} else {
		migrate_tell(a, &r);
	}
	return 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* One line of the guest: 1 it was the answer, 0 it was not, negative errno. */
static int migrate_line(
	const struct migrate_args *a, struct migrate_show *show, const json_t *line, struct err *e)
{
	const char *event = json_string_value(json_object_get(line, "event"));
	struct mig_progress p;
	int rc;

	if (event && strcmp(event, "checks") == 0)
		migrate_checks(show, line, a->json);
	if (event && !a->json) {
		if (strcmp(event, "transport") == 0)
			migrate_chosen(show, line);
		else if (strcmp(event, "waiting") == 0)
			migrate_waits(show, line);
		else if (strcmp(event, "progress") == 0 && ctl_progress_read(line, &p, NULL) == 0)
			migrate_progress(show, &p);
	}
	if (event)
		return 0;
	migrate_show_end(show);
	rc = migrate_finish(a, show, line, e);
	return rc < 0 ? rc : 1;
}

/* Reads until the answer. Ctrl-C gives up politely and still waits for how it ended. */
static int migrate_wait(
	const struct migrate_args *a, struct ctl_client *c, int signal_fd, struct err *e)
{
	struct migrate_show show = { .terminal = isatty(STDOUT_FILENO),
		.last_ns = clock_mono_ns() };
	bool gave_up = false;
	int rc = 0;

	while (rc == 0) {
		struct pollfd p[2] = { { .fd = ctl_client_fd(c), .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN } };
		struct signalfd_siginfo si;
		json_t *line = NULL;

		rc = ctl_client_recv(c, &line, 0, e);
		if (rc == 1) {
			rc = migrate_line(a, &show, line, e);
			json_decref(line);
			continue;
		}
		if (rc == 0)
			poll(p, 2, -1);
		if (read(signal_fd, &si, sizeof(si)) != sizeof(si))
			continue;
		if (gave_up) {
			rc = err_set(e, -EINTR, "left without waiting for the end of the move");
			break;
		}
		gave_up = true;
		ctl_client_give_up(c);
	}
	migrate_show_end(&show);
	json_decref(show.checks);
	if (rc < 0 && rc != -EINTR && gave_up)
		err_wrap(e, "the move of guest %s was given up", a->name);
	else if (rc < 0)
		err_wrap(e, "guest %s did not move", a->name);
	return rc;
}

/*
 * The guest does not live here. If this host keeps its definition, that is what moves; @e is of the
 * living one and stays where there is none.
 */
static int migrate_stopped(const struct migrate_args *a, struct err *e)
{
	struct err offline = { 0 };
	struct ctl_addr to;
	int rc = ctl_addr_parse(a->to, NULL, 1, &to, &offline);
	json_t *j;

	if (rc == 0)
		rc = migrate_offline(a->name, &to, &a->secure, &offline);
	if (rc == -ENOENT)
		return e->code;
	if (rc < 0) {
		*e = offline;
		return err_wrap(e, "the definition of guest %s did not move", a->name);
	}
	if (a->json) {
		j = json_pack("{s:s,s:s,s:b}", "name", a->name, "to", a->to, "definition", 1);
		ask_print_json(j);
		json_decref(j);
	} else {
		printf("the definition of guest %s, which does not run, moved to %s\n", a->name,
			a->to);
	}
	return 0;
}

int cmd_migrate(int argc, char **argv)
{
	struct migrate_args args = {
		.transport = "auto", .limit = "10ms", .streams = "auto", .on_stall = "throttle"
	};
	struct ctl_client *c = NULL;
	json_t *request = NULL;
	struct err e = { 0 };
	sigset_t set;
	int fd, rc;

	cmd_parse(&migrate_argp, argc, argv, &args);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = fd < 0 ? err_errno(&e, "cannot watch for signals")
		    : migrate_request(&args, &request, &e);
	if (rc == 0)
		rc = ctl_client_open(&c, NULL, args.name, &e);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		rc = migrate_stopped(&args, &e);
	else if (rc == 0 && (rc = ctl_client_send(c, request, &e)) == 0)
		rc = migrate_wait(&args, c, fd, &e);
	json_decref(request);
	ctl_client_close(c);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? cmd_fail(&e) : CMD_OK;
}
