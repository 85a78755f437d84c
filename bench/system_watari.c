/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns watari as a system under test (see system.h): `watari run`, the control socket, and the two
 * receivers between which the guest goes back and forth.
 * Must never use anything of the hypervisor that a user could not.
 * Next in the flow: bench/move.c.
 */
#include "bench/system.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bench/plan.h"
#include "hv/base/clock.h"
#include "hv/ctl/client.h"

#define WATARI_POLL_MS    5
#define WATARI_TICK_MS    10
#define WATARI_START_NS   (10 * NSEC_PER_SEC)
#define WATARI_SETTLE_NS  (10 * NSEC_PER_SEC)
#define WATARI_TIMEOUT_NS (300 * NSEC_PER_SEC)

static const char *watari_dir(const struct bench_guest *g, int end)
{
	return g->ends->end[end].dir;
}

static int watari_boot(struct bench_guest *g, struct err *e)
{
	const struct bench_config *c = g->config;
	const struct ends_child child = ends_self(&g->ends->end[0]);
	char cpus[16], memory[40], append[256];
	const char *const args[] = { "watari", "run", "--force", "--name", g->name, "--cpus", cpus,
		"--memory", memory, "--kernel", g->ends->kernel, "--append", append, "--serial",
		"none", NULL };
	uint64_t end = clock_mono_ns() + WATARI_START_NS;
	struct err why = { 0 };
	int rc;

	g->end = 0;
	snprintf(cpus, sizeof(cpus), "%u", c->vcpus);
	snprintf(memory, sizeof(memory), "%llu%s", (unsigned long long)c->memory,
		c->thp ? ",thp=on" : "");
	bench_config_append(c, append, sizeof(append));
	rc = ends_spawn(g->ends, &child, args, &g->run, e);
	while (rc == 0 && ctl_ask(watari_dir(g, 0), g->name, "status", NULL, &why) < 0) {
		rc = ends_alive(&g->run, "watari run", e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "watari run does not answer: %.300s", why.msg);
		if (rc == 0)
			rc = ends_wait(g->ends, -1, WATARI_POLL_MS, e);
	}
	if (rc == 0)
		rc = observe_attach(&g->at, watari_dir(g, 0), g->name, e);
	return rc;
}

static int watari_prepare(struct bench_guest *g, struct err *e)
{
	const char *secure = strchr(g->variant, '+');

	if (!secure)
		return 0; /* `watari receive` listens since the start */
	if (strcmp(secure, "+tls") != 0 && strcmp(secure, "+encrypt") != 0)
		return err_set(
			e, -EINVAL, "transport '%s' ends in neither +tls nor +encrypt", g->variant);
	if (g->remote)
		return err_set(
			e, -EINVAL, "transport '%s' is measured on one machine only", g->variant);
	return ends_listen_keyed(g->ends, e);
}

/* Until the target's process answers: it is there before the first page is. */
static void watari_look_for_target(struct bench_guest *g, struct trace *t)
{
	if (t->target_known || g->remote ||
		observe_attach(&g->to, watari_dir(g, !g->end), g->name, NULL) < 0)
		return;
	trace_target(t, &g->to, g->to.pid, true);
}

/* The lines of a move until its answer. */
static int watari_follow(struct bench_guest *g, struct ctl_client *k, struct trace *t,
	json_t **answer, struct err *e)
{
	uint64_t end = clock_mono_ns() + WATARI_TIMEOUT_NS;
	struct mig_progress m;
	json_t *line = NULL;
	int rc;

	for (;;) {
		watari_look_for_target(g, t);
		rc = ctl_client_recv(k, &line, 0, e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "the move does not end");
		if (rc == 0) {
			rc = trace_wait(t, ctl_client_fd(k),
				t->target_known ? WATARI_TICK_MS : WATARI_POLL_MS / 2, e);
			if (rc == 0)
				continue;
		}
		if (rc < 0)
			return rc;
		if (!json_object_get(line, "event"))
			break;
		if (ctl_progress_read(line, &m, NULL) == 0)
			trace_point(t, &m);
		json_decref(line);
	}
	*answer = line;
	return 0;
}

static json_t *watari_request(const struct bench_guest *g)
{
	const struct bench_config *c = g->config;
	const char *secure = strchr(g->variant, '+');
	const struct bench_end *target = secure ? &g->ends->keyed[!g->end] : &g->ends->end[!g->end];
	char to[300], transport[32];
	json_t *j;

	snprintf(transport, sizeof(transport), "%.*s", (int)strcspn(g->variant, "+"), g->variant);
	if (g->remote)
		snprintf(to, sizeof(to), "%s", g->remote);
	else
		snprintf(to, sizeof(to), "127.0.0.1:%u", target->port);
	j = json_pack("{s:s,s:s,s:s,s:I,s:s,s:i}", "op", "migrate", "to", to, "transport",
		transport, "downtime_limit_ns", (json_int_t)c->downtime_limit_ns, "on_stall",
		mig_on_stall_name(c->on_stall), "streams", (int)c->streams);
	if (j && secure) {
		json_object_set_new(j, "psk", json_string(g->ends->key));
		json_object_set_new(j, "encrypt", json_boolean(strcmp(secure, "+encrypt") == 0));
	}
	if (j && c->test_stall_ns)
		json_object_set_new(j, "test_stall_ns", json_integer((json_int_t)c->test_stall_ns));
	return j;
}

static int watari_move(struct bench_guest *g, struct trace *t, struct mig_result *out, json_t **raw,
	bool *stays, struct err *e)
{
	json_t *request = watari_request(g), *answer = NULL;
	struct ctl_client *k = NULL;
	int rc;

	*stays = false;
	if (!request)
		return err_set(e, -ENOMEM, "no memory for a request");
	rc = ctl_client_open(&k, watari_dir(g, g->end), g->name, e);
	if (rc == 0)
		rc = ctl_client_send(k, request, e);
	if (rc == 0)
		rc = watari_follow(g, k, t, &answer, e);
	ctl_client_close(k);
	json_decref(request);
	if (rc == 0) {
		rc = ctl_answer_check(answer, e);
		*stays = rc < 0;
	}
	if (rc == 0)
		rc = ctl_result_read(json_object_get(answer, "result"), out, e);
	if (rc == 0) {
		g->end = g->remote ? g->end : !g->end;
		*raw = json_incref(json_object_get(answer, "result"));
		if (!t->target_known && !g->remote)
			rc = observe_attach(&g->to, watari_dir(g, g->end), g->name, e);
	}
	json_decref(answer);
	return rc;
}

/* Waits until the process that the guest has left is gone, which is not yet so when it answers. */
static int watari_leave(struct bench_guest *g, struct err *e)
{
	uint64_t end = clock_mono_ns() + WATARI_SETTLE_NS;
	struct pollfd p = { .fd = g->at.pidfd, .events = POLLIN };
	int rc = 0;

	if (g->to.fd < 0) /* it did not move */
		return 0;
	while (rc == 0 && poll(&p, 1, 0) == 0) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the source's process does not end");
		rc = ends_wait(g->ends, g->at.pidfd, WATARI_TICK_MS, e);
	}
	return rc;
}

static int watari_hold(struct bench_guest *g, bool on, struct err *e)
{
	return ctl_ask(watari_dir(g, g->end), g->name, on ? "pause" : "resume", NULL, e);
}

static void watari_end(struct bench_guest *g)
{
	for (int end = 0; end < 2; end++)
		ctl_kill(watari_dir(g, end), g->name, NULL, NULL);
	observe_detach(&g->to);
	observe_detach(&g->at);
}

const struct bench_system bench_watari = {
	.name = "watari",
	.boot = watari_boot,
	.prepare = watari_prepare,
	.move = watari_move,
	.leave = watari_leave,
	.hold = watari_hold,
	.end = watari_end,
};
