/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns lists of values and their combinations (see plan.h). Must never start what the machine
 * cannot hold: a machine that swaps or kills measures nothing.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/system.h"
#include "hv/base/size.h"

#define PLAN_WORDS_MAX 32
/* What a guest's process and its copy in flight take beside its memory. */
#define PLAN_OVERHEAD (128ull << 20)
#define PLAN_RUNS_MAX 100000

static const char *const plan_list_options[] = { "memory", "workset", "rate", "pattern", "content",
	"vcpus", "downtime-limit", "fill", "streams", "on-stall", "thp", "test-stall" };

/* The peer's first @n modes, or as many as it has. */
static void plan_modes_first(struct bench_plan *p, unsigned n)
{
	for (p->modes = 0; p->modes < n && bench_qemu_modes[p->modes]; p->modes++)
		p->mode[p->modes] = bench_qemu_modes[p->modes];
}

int bench_plan_init(struct bench_plan *p, struct err *e)
{
	*p = (struct bench_plan){ .transport = { "tcp" },
		.transports = 1,
		.runs = 5,
		.warm_ups = 1,
		.peer_binary = "qemu-system-x86_64" };
	p->cases = calloc(PLAN_CASES_MAX, sizeof(*p->cases));
	if (!p->cases)
		return err_set(e, -ENOMEM, "no memory for a plan");
	bench_config_default(&p->cases[0]);
	p->ncases = 1;
	plan_modes_first(p, PLAN_PEER_MODES);
	return 0;
}

void bench_plan_fini(struct bench_plan *p)
{
	for (unsigned i = 0; i < p->arenas; i++)
		free(p->arena[i]);
	free(p->command);
	free(p->cases);
	p->cases = NULL;
	p->command = NULL;
}

void bench_plan_command(struct bench_plan *p, int argc, char **argv)
{
	size_t n = 0;
	FILE *f = open_memstream(&p->command, &n);

	for (int i = 0; f && i < argc; i++)
		fprintf(f, "%s%s", i ? " " : "", argv[i]);
	if (f)
		fclose(f);
}

/* Splits @value at its commas; the words live as long as the plan. */
static int plan_split(struct bench_plan *p, const char *name, const char *value, const char **word,
	unsigned max, unsigned *n, struct err *e)
{
	char *copy;

	*n = 0;
	if (p->arenas == sizeof(p->arena) / sizeof(p->arena[0]) || !(copy = strdup(value)))
		return err_set(e, -ENOMEM, "--%s: too many options", name);
	p->arena[p->arenas++] = copy;
	for (char *w = strsep(&copy, ","); w; w = strsep(&copy, ",")) {
		if (*n == max)
			return err_set(
				e, -EINVAL, "--%s '%s' has more than %u values", name, value, max);
		word[(*n)++] = w;
	}
	return 0;
}

/* Every case there is, once for each value. */
static int plan_multiply(struct bench_plan *p, const char *name, const char *value, struct err *e)
{
	const char *word[PLAN_WORDS_MAX];
	unsigned n, old = p->ncases;
	int rc = plan_split(p, name, value, word, PLAN_WORDS_MAX, &n, e);

	if (rc < 0)
		return rc;
	if (old * n > PLAN_CASES_MAX)
		return err_set(e, -EINVAL, "--%s '%s' makes more than %d cases of it", name, value,
			PLAN_CASES_MAX);
	for (unsigned i = old * n; i-- > 0 && rc == 0;) {
		p->cases[i] = p->cases[i / n];
		rc = bench_config_set(&p->cases[i], name, word[i % n], e);
	}
	p->ncases = old * n;
	return rc;
}

static int plan_modes(struct bench_plan *p, const char *value, struct err *e)
{
	int rc = plan_split(p, "peer-mode", value, p->mode, PLAN_SYSTEMS_MAX / 2, &p->modes, e);

	if (rc == 0 && strcmp(value, "all") == 0)
		plan_modes_first(p, PLAN_SYSTEMS_MAX / 2);
	for (unsigned i = 0; i < p->modes && rc == 0; i++) {
		const char *const *known = bench_qemu_modes;

		while (*known && strcmp(*known, p->mode[i]) != 0)
			known++;
		if (!*known)
			return err_set(e, -EINVAL,
				"--peer-mode '%s' is not one of precopy, multifd, zero-copy and "
				"postcopy, nor all",
				p->mode[i]);
	}
	return rc;
}

static int plan_number(
	const char *name, const char *value, uint64_t lo, unsigned *out, struct err *e)
{
	char what[32];
	uint64_t v = 0;
	int rc;

	snprintf(what, sizeof(what), "--%s", name);
	rc = number_parse(value, what, lo, PLAN_RUNS_MAX, &v, e);
	*out = (unsigned)v;
	return rc;
}

static int plan_pin(struct bench_plan *p, const char *name, const char *value, struct err *e)
{
	cpu_set_t have;

	pin_have(&have);
	return strcmp(name, "pin") == 0 ? pin_parse(name, value, &have, &p->pin, e)
					: pin_parse_one(name, value, &have, &p->pin_observer, e);
}

int bench_plan_set(struct bench_plan *p, const char *name, const char *value, struct err *e)
{
	for (size_t i = 0; i < sizeof(plan_list_options) / sizeof(plan_list_options[0]); i++)
		if (strcmp(plan_list_options[i], name) == 0)
			return plan_multiply(p, name, value, e);
	if (strcmp(name, "transport") == 0)
		return plan_split(
			p, name, value, p->transport, PLAN_SYSTEMS_MAX / 2, &p->transports, e);
	if (strcmp(name, "runs") == 0)
		return plan_number(name, value, 1, &p->runs, e);
	if (strcmp(name, "warm-up") == 0)
		return plan_number(name, value, 0, &p->warm_ups, e);
	if (strcmp(name, "peer") == 0) {
		p->peer = strcmp(value, "qemu") == 0;
		if (!p->peer && strcmp(value, "none") != 0)
			return err_set(
				e, -EINVAL, "--peer '%s' is not one of qemu and none", value);
		return 0;
	}
	if (strcmp(name, "peer-mode") == 0)
		return plan_modes(p, value, e);
	if (strcmp(name, "peer-binary") == 0)
		p->peer_binary = value;
	else if (strcmp(name, "verify-peer") == 0)
		p->verify_peer = true;
	else if (strcmp(name, "pin") == 0 || strcmp(name, "pin-observer") == 0)
		return plan_pin(p, name, value, e);
	else if (strcmp(name, "test-still") == 0)
		p->still = true;
	else if (strcmp(name, "json") == 0)
		p->json = value;
	else if (strcmp(name, "html") == 0)
		p->html = value;
	else if (strcmp(name, "target") == 0)
		p->target = value;
	else
		return err_set(e, -EINVAL, "there is no option --%s", name);
	return 0;
}

/* MemAvailable, 0 if it is not known. */
static uint64_t plan_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

/* What a guest of @c takes once it has filled what it fills. */
static uint64_t plan_guest(const struct bench_config *c)
{
	return bench_config_filled(c) + PLAN_OVERHEAD;
}

unsigned bench_plan_turn(const struct bench_plan *p)
{
	unsigned moves = (p->runs + p->warm_ups) / PLAN_TURNS;

	if (moves > PLAN_TURN_MAX)
		return PLAN_TURN_MAX;
	return moves ? moves : 1;
}

unsigned bench_plan_fit(const struct bench_config *c, unsigned want)
{
	uint64_t have = plan_available() / 20 * 19, guests = have / plan_guest(c);

	if (guests < 2)
		return 0;
	return guests - 1 < want ? (unsigned)guests - 1 : want;
}

int bench_plan_check(const struct bench_plan *p, struct err *e)
{
	char need[32], have[32];

	for (unsigned i = 0; i < p->ncases; i++) {
		const struct bench_config *c = &p->cases[i];
		int rc = bench_config_check(c, e);

		if (rc < 0)
			return rc;
		if (bench_plan_fit(c, 1) == 0)
			return err_set(e, -ENOMEM,
				"--memory: a guest and its copy take %s, this machine has %s to "
				"spare: choose less, or --fill less of it",
				size_format(2 * plan_guest(c), need, sizeof(need)),
				size_format(plan_available(), have, sizeof(have)));
	}
	return 0;
}
