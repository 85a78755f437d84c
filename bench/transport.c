/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns `watari bench transport`: every transport there is, by put size and streams, between two
 * processes here, or with --to a process elsewhere; beside iperf3, and beside ib_write_bw for rdma.
 * The list of transports is the caller's. Next in the flow: bench/lane.c.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/iperf.h"
#include "bench/lane.h"
#include "bench/line.h"
#include "bench/machine.h"
#include "bench/outfile.h"
#include "bench/perftest.h"
#include "hv/base/size.h"

#define TRANSPORT_WORDS 16

struct transport_args {
	lane_transports at;
	const char *names, *puts, *streams, *bytes, *json, *serve, *to, *address;
};

enum {
	KEY_PUT = 0x100,
	KEY_STREAMS,
	KEY_BYTES,
	KEY_SERVE,
	KEY_TO,
	KEY_JSON,
	KEY_NAMES,
	KEY_ADDRESS
};

static const struct argp_option options[] = {
	{ "transport", KEY_NAMES, "LIST", 0,
		"which (default: every one there is); NAME+encrypt: under a key", 0 },
	{ "put", KEY_PUT, "LIST", 0, "bytes of a put (default: 4K,64K,256K)", 0 },
	{ "streams", KEY_STREAMS, "LIST", 0, "data streams (default: 1,2)", 0 },
	{ "bytes", KEY_BYTES, "SIZE", 0, "how much to put each time (default: 2G)", 0 },
	{ "address", KEY_ADDRESS, "ADDR", 0,
		"this host's, for two processes here: an RDMA device has one of its own (default: "
		"127.0.0.1)",
		0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results as JSON, - for stdout", 0 },
	{ "serve", KEY_SERVE, "ADDR:PORT", 0, "be the far end for others, until ended", 0 },
	{ "to", KEY_TO, "ADDR:PORT", 0, "the far end is a --serve there", 0 },
	{ 0 },
};

static error_t transport_parse(int key, char *arg, struct argp_state *state)
{
	struct transport_args *a = state->input;

	switch (key) {
	case KEY_NAMES: a->names = arg; break;
	case KEY_PUT: a->puts = arg; break;
	case KEY_STREAMS: a->streams = arg; break;
	case KEY_BYTES: a->bytes = arg; break;
	case KEY_JSON: a->json = arg; break;
	case KEY_SERVE: a->serve = arg; break;
	case KEY_TO: a->to = arg; break;
	case KEY_ADDRESS: a->address = arg; break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", arg); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp transport_argp = {
	.options = options,
	.parser = transport_parse,
	.doc = "Measures the transports alone, without a guest: goodput, processor time, and how "
	       "long a put and a message behind it take, with the answer.\v"
	       "--serve trusts whoever connects: use it on a network of your own.",
};

/* ---- the far end ---- */

static _Noreturn void transport_far(int fd, const char *host, lane_transports at)
{
	struct err e = { 0 };

	if (lane_serve(fd, host, at, &e) < 0)
		fprintf(stderr, "watari: far end: %s\n", e.msg);
	fflush(NULL);
	_exit(e.code ? 1 : 0);
}

static int transport_serve(const struct transport_args *a, struct err *e)
{
	char host[XPORT_HOST_MAX];
	int fd = line_socket(a->serve, true, host, e);

	if (fd < 0)
		return fd;
	printf("serving on %s\n", a->serve);
	fflush(stdout);
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0)
			continue;
		if (fork() == 0)
			transport_far(c, host, a->at);
		close(c);
		wait(NULL); /* one at a time: two would measure each other */
	}
}

/* ---- one measurement ---- */

/* A far end: here a process, elsewhere a connection. */
struct transport_end {
	int fd;
	pid_t pid; /* 0: elsewhere */
	char host[XPORT_HOST_MAX];
};

static int transport_open(const struct transport_args *a, struct transport_end *t, struct err *e)
{
	int fd[2];

	*t = (struct transport_end){ 0 };
	if (a->to) {
		t->fd = line_socket(a->to, false, t->host, e);
		return t->fd < 0 ? t->fd : 0;
	}
	snprintf(t->host, sizeof(t->host), "%s", a->address);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return err_errno(e, "cannot make a socket pair");
	fflush(NULL);
	t->pid = fork();
	if (t->pid == 0) {
		close(fd[0]);
		transport_far(fd[1], t->host, a->at);
	}
	close(fd[1]);
	t->fd = fd[0];
	if (t->pid > 0)
		return 0;
	close(fd[0]);
	return err_errno(e, "cannot start the far end");
}

/* @force: it may wait for what does not come any more, and has no child of its own. */
static void transport_close(struct transport_end *t, bool force)
{
	close(t->fd);
	if (t->pid <= 0)
		return;
	if (force)
		kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
}

static int transport_one(const struct transport_args *a, const struct lane_ask *ask,
	struct lane_result *r, struct err *e)
{
	struct transport_end t;
	int rc = transport_open(a, &t, e);

	if (rc < 0)
		return rc;
	rc = lane_drive(t.fd, t.host, ask, a->at, r, e);
	transport_close(&t, rc < 0);
	return rc;
}

static double transport_ms_per_gib(uint64_t ns, uint64_t bytes)
{
	return (double)ns / 1e6 * (double)(1ull << 30) / (double)bytes;
}

static void transport_row(
	const struct lane_ask *ask, const struct lane_result *r, FILE *out, json_t *rows)
{
	/* What was copied after all is not by reference. */
	double zc = 100.0 * (double)(r->zc_bytes - r->zc_copied_bytes) / (double)ask->bytes;
	char put[32], goodput[32];

	fprintf(out, "%-11s %10s %7u %12s/s %10.0f %10.0f %10.1f %10.1f %7.0f%%\n", ask->transport,
		size_format(ask->put, put, sizeof(put)), ask->streams,
		size_format((uint64_t)r->goodput, goodput, sizeof(goodput)),
		transport_ms_per_gib(r->cpu_near_ns, ask->bytes),
		transport_ms_per_gib(r->cpu_far_ns, ask->bytes), r->latency_us.median,
		r->latency_us.p99, zc);
	fflush(out);
	json_array_append_new(rows,
		json_pack("{s:s,s:I,s:i,s:I,s:f,s:f,s:f,s:I,s:I,s:I,s:{s:i,s:f,s:f,s:f,s:f}}",
			"transport", ask->transport, "put_bytes", (json_int_t)ask->put, "streams",
			(int)ask->streams, "bytes", (json_int_t)ask->bytes, "goodput_bytes_per_s",
			r->goodput, "cpu_near_ms_per_gib",
			transport_ms_per_gib(r->cpu_near_ns, ask->bytes), "cpu_far_ms_per_gib",
			transport_ms_per_gib(r->cpu_far_ns, ask->bytes), "wire_bytes",
			(json_int_t)r->wire_bytes, "zc_bytes", (json_int_t)r->zc_bytes,
			"zc_copied_bytes", (json_int_t)r->zc_copied_bytes, "fenced_message_us", "n",
			(int)r->latency_us.n, "min", r->latency_us.min, "median",
			r->latency_us.median, "p99", r->latency_us.p99, "max", r->latency_us.max));
}

/* What somebody else's program found. */
struct transport_tool {
	const char *name;
	const char *put; /* its size, as text */
	uint32_t put_bytes;
	unsigned streams;
	double goodput, cpu_near_ms, cpu_far_ms; /* the latter two for each GiB */
};

static void transport_tool_row(const struct transport_tool *t, FILE *out, json_t *rows)
{
	char goodput[32];

	fprintf(out, "%-11s %10s %7u %12s/s %10.0f %10.0f %10s %10s %8s\n", t->name, t->put,
		t->streams, size_format((uint64_t)t->goodput, goodput, sizeof(goodput)),
		t->cpu_near_ms, t->cpu_far_ms, "-", "-", "-");
	fflush(out);
	json_array_append_new(
		rows, json_pack("{s:s,s:I,s:i,s:f,s:f,s:f}", "transport", t->name, "put_bytes",
			      (json_int_t)t->put_bytes, "streams", (int)t->streams,
			      "goodput_bytes_per_s", t->goodput, "cpu_near_ms_per_gib",
			      t->cpu_near_ms, "cpu_far_ms_per_gib", t->cpu_far_ms));
}

static void transport_no_figure(const char *name, const struct err *e, FILE *out, json_t *rows)
{
	fprintf(out, "%-11s no figure: %s\n", name, e->msg);
	json_array_append_new(rows, json_pack("{s:s,s:s}", "transport", name, "error", e->msg));
}

static void transport_iperf(
	const struct transport_args *a, unsigned streams, FILE *out, json_t *rows)
{
	struct iperf_result r;
	struct err e = { 0 };

	if (iperf_run(a->address, streams, &r, &e) < 0) {
		transport_no_figure("iperf3", &e, out, rows);
		return;
	}
	transport_tool_row(
		&(struct transport_tool){ .name = "iperf3",
			.put = "128 KiB",
			.put_bytes = 128 << 10,
			.streams = streams,
			.goodput = r.goodput,
			.cpu_near_ms = r.cpu_near * 1e3 * (double)(1ull << 30) / r.goodput,
			.cpu_far_ms = r.cpu_far * 1e3 * (double)(1ull << 30) / r.goodput },
		out, rows);
}

/* False: there is none, so that there is no use in asking again. */
static bool transport_perftest(
	const struct transport_args *a, const struct lane_ask *like, FILE *out, json_t *rows)
{
	struct perftest_ask ask = perftest_plan(like->bytes, like->put, like->streams);
	struct perftest_result r;
	struct transport_end t;
	struct err e = { 0 };
	char put[32];
	int rc = transport_open(a, &t, &e);

	if (rc == 0) {
		rc = perftest_drive(t.fd, t.host, &ask, &r, &e);
		transport_close(&t, false);
	}
	if (rc < 0) {
		transport_no_figure("ib_write_bw", &e, out, rows);
		return false;
	}
	transport_tool_row(&(struct transport_tool){ .name = "ib_write_bw",
				   .put = size_format(ask.put, put, sizeof(put)),
				   .put_bytes = ask.put,
				   .streams = ask.streams,
				   .goodput = r.goodput,
				   .cpu_near_ms = transport_ms_per_gib(r.cpu_near_ns, r.bytes),
				   .cpu_far_ms = transport_ms_per_gib(r.cpu_far_ns, r.bytes) },
		out, rows);
	return true;
}

/* ---- all of them ---- */

struct transport_lists {
	char *copy[3];
	const char *name[TRANSPORT_WORDS];
	uint64_t put[TRANSPORT_WORDS], streams[TRANSPORT_WORDS], bytes;
	unsigned names, puts, nstreams;
};

/* The words of @text into @word; 0 words is an error. */
static int transport_words(char *text, const char **word, unsigned *n, struct err *e)
{
	*n = 0;
	for (char *w = strsep(&text, ","); w; w = strsep(&text, ",")) {
		if (*n == TRANSPORT_WORDS)
			return err_set(e, -EINVAL, "more than %d values", TRANSPORT_WORDS);
		word[(*n)++] = w;
	}
	return 0;
}

static int transport_lists(const struct transport_args *a, struct transport_lists *l, struct err *e)
{
	const char *word[TRANSPORT_WORDS];
	int rc = size_parse(a->bytes, &l->bytes, e);

	l->copy[0] = strdup(a->names ? a->names : "");
	l->copy[1] = strdup(a->puts);
	l->copy[2] = strdup(a->streams);
	if (!l->copy[0] || !l->copy[1] || !l->copy[2])
		return err_set(e, -ENOMEM, "no memory");
	if (rc == 0 && a->names)
		rc = transport_words(l->copy[0], l->name, &l->names, e);
	while (!a->names && a->at(l->names) && l->names < TRANSPORT_WORDS) {
		l->name[l->names] = a->at(l->names)->name;
		l->names++;
	}
	for (unsigned i = 0; i < l->names && rc == 0; i++)
		rc = lane_find(a->at, l->name[i], e) ? 0 : -EINVAL;
	if (rc == 0)
		rc = transport_words(l->copy[1], word, &l->puts, e);
	for (unsigned i = 0; i < l->puts && rc == 0; i++) {
		rc = size_parse(word[i], &l->put[i], e);
		if (rc == 0 && (l->put[i] < 4096 || XPORT_BLOCK_SIZE % l->put[i]))
			rc = err_set(e, -EINVAL,
				"--put '%s' is not 4 KiB or a power of two of it, up to 256 KiB",
				word[i]);
	}
	if (rc == 0)
		rc = transport_words(l->copy[2], word, &l->nstreams, e);
	for (unsigned i = 0; i < l->nstreams && rc == 0; i++)
		rc = number_parse(word[i], "--streams", 1, 16, &l->streams[i], e);
	if (rc == 0 && (l->bytes < LANE_REGION_MIN || l->bytes % XPORT_BLOCK_SIZE))
		rc = err_set(
			e, -EINVAL, "--bytes '%s' is not 64M or more in steps of 256K", a->bytes);
	return rc;
}

/* Every put size and number of streams of one transport. How many failed. */
static unsigned transport_all(const struct transport_args *a, const struct transport_lists *l,
	unsigned which, FILE *out, json_t *rows)
{
	bool rdma = strcmp(l->name[which], "rdma") == 0;
	struct xport_probe probe;
	unsigned bad = 0;

	lane_find(a->at, l->name[which], NULL)->probe(NULL, &probe);
	if (!probe.usable) {
		fprintf(out, "%-11s not here: %s\n", l->name[which], probe.why);
		json_array_append_new(rows,
			json_pack("{s:s,s:s}", "transport", l->name[which], "error", probe.why));
		return 0;
	}
	for (unsigned s = 0; s < l->nstreams; s++)
		for (unsigned p = 0; p < l->puts; p++) {
			const struct lane_ask ask = { .transport = l->name[which],
				.streams = (unsigned)l->streams[s],
				.put = (uint32_t)l->put[p],
				.bytes = l->bytes };
			struct lane_result r;
			struct err e = { 0 };

			if (transport_one(a, &ask, &r, &e) == 0) {
				transport_row(&ask, &r, out, rows);
			} else {
				fprintf(out, "%-11s failed: %s\n", ask.transport, e.msg);
				bad++;
			}
			if (rdma)
				rdma = transport_perftest(a, &ask, out, rows);
		}
	return bad;
}

/* True if any of the transports goes over TCP, so that iperf3 says something about it. */
static bool transport_of_tcp(const struct transport_lists *l)
{
	for (unsigned i = 0; i < l->names; i++)
		if (strcmp(l->name[i], "rdma") != 0)
			return true;
	return false;
}

static int transport_run(const struct transport_args *a, struct err *e)
{
	struct transport_lists l = { 0 };
	FILE *out = a->json && strcmp(a->json, "-") == 0 ? stderr : stdout;
	json_t *rows = json_array(), *j = NULL;
	struct machine m;
	unsigned bad = 0;
	int rc = transport_lists(a, &l, e);

	if (rc == 0 && a->json)
		rc = outfile_check("json", a->json, e);
	if (rc == 0) {
		machine_look(&m);
		fprintf(out, "%s, %u processors; others keep %.1f busy\n\n", m.cpu, m.cpus,
			m.others);
		fprintf(out, "%-11s %10s %7s %14s %21s %21s\n", "", "", "", "",
			"-- CPU ms per GiB --", "- fenced message us -");
		fprintf(out, "%-11s %10s %7s %14s %10s %10s %10s %10s %8s\n", "transport", "put",
			"streams", "goodput", "near", "far", "median", "p99", "by ref.");
		for (unsigned i = 0; i < l.names; i++)
			bad += transport_all(a, &l, i, out, rows);
		for (unsigned s = 0; s < l.nstreams && !a->to && transport_of_tcp(&l); s++)
			transport_iperf(a, (unsigned)l.streams[s], out, rows);
		j = json_pack("{s:s,s:i,s:s,s:f,s:O}", "schema", "watari-bench-transport",
			"version", 1, "cpu", m.cpu, "busy_by_others", m.others, "rows", rows);
		if (a->json)
			rc = outfile_json(j, a->json, e);
	}
	json_decref(j);
	json_decref(rows);
	for (size_t i = 0; i < 3; i++)
		free(l.copy[i]);
	return rc == 0 && bad ? err_set(e, -EIO, "%u measurements failed", bad) : rc;
}

int bench_transport_main(int argc, char **argv, bench_transports at)
{
	struct transport_args a = {
		.at = at, .puts = "4K,64K,256K", .streams = "1,2", .bytes = "2G"
	};
	struct err e = { 0 };
	int rc;

	if (argp_parse(&transport_argp, argc, argv, 0, NULL, &a) != 0)
		return 2;
	if (a.address && (a.serve || a.to)) {
		fprintf(stderr,
			"watari: bench: --address is for two processes here: it goes with neither "
			"--serve nor --to, which name an address themselves\n");
		return 1;
	}
	a.address = a.address ? a.address : "127.0.0.1";
	rc = a.serve ? transport_serve(&a, &e) : transport_run(&a, &e);
	if (rc < 0)
		fprintf(stderr, "watari: bench: %s\n", e.msg);
	return rc < 0 ? 1 : 0;
}
