/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the words of a measurement's options (see config.h). Must never accept what the guest would
 * silently read as something else.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/guest/page.h"
#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/mem/gmem.h"

/* Below this the guest's own tables and stacks do not fit beside the working set. */
#define CONFIG_GUEST_OWN (8ull << 20)

static const char *const patterns[] = {
	[BENCH_UNIFORM] = "uniform",
	[BENCH_HOT] = "hot",
	[BENCH_SEQUENTIAL] = "sequential",
};
static const char *const contents[] = {
	[BENCH_RANDOM] = "random",
	[BENCH_ZERO] = "zero",
	[BENCH_COMPRESSIBLE] = "compressible",
};

const char *bench_pattern_name(enum bench_pattern p)
{
	return patterns[p];
}

const char *bench_content_name(enum bench_content c)
{
	return contents[c];
}

void bench_config_default(struct bench_config *c)
{
	*c = (struct bench_config){
		.memory = 1ull << 30,
		.workset = 8ull << 20,
		.fill = BENCH_FILL_ALL,
		.rate = 200000,
		.downtime_limit_ns = 10 * NSEC_PER_MSEC,
		.vcpus = 1,
		.streams = 1,
	};
}

static int config_word(const char *name, const char *value, const char *const *words, size_t n,
	unsigned *out, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(value, words[i]) == 0) {
			*out = (unsigned)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "%s '%s' is not one of %s, %s and %s", name, value, words[0],
		words[1], words[2]);
}

static int config_size(const char *name, const char *value, uint64_t *out, struct err *e)
{
	int rc = size_parse(value, out, e);

	if (rc < 0)
		return err_wrap(e, "--%s", name);
	if (*out % BENCH_PAGE_SIZE)
		return err_set(e, -EINVAL, "--%s '%s' is not a multiple of 4 KiB", name, value);
	return 0;
}

static int config_fill(struct bench_config *c, const char *value, struct err *e)
{
	if (strcmp(value, "all") == 0) {
		c->fill = BENCH_FILL_ALL;
		return 0;
	}
	return config_size("fill", value, &c->fill, e);
}

static int config_limit(struct bench_config *c, const char *value, struct err *e)
{
	if (duration_parse(value, &c->downtime_limit_ns, e) < 0)
		return err_wrap(e, "--downtime-limit");
	if (c->downtime_limit_ns < 1 || c->downtime_limit_ns > 60 * NSEC_PER_SEC)
		return err_set(
			e, -EINVAL, "--downtime-limit '%s' is not between 1ns and 60s", value);
	return 0;
}

static int config_test_stall(struct bench_config *c, const char *value, struct err *e)
{
	if (duration_parse(value, &c->test_stall_ns, e) < 0)
		return err_wrap(e, "--test-stall");
	if (c->test_stall_ns > NSEC_PER_SEC)
		return err_set(e, -EINVAL, "--test-stall '%s' is more than 1s", value);
	return 0;
}

int bench_config_set(struct bench_config *c, const char *name, const char *value, struct err *e)
{
	unsigned word = 0;
	uint64_t v = 0;
	int rc;

	if (strcmp(name, "memory") == 0)
		return config_size(name, value, &c->memory, e);
	if (strcmp(name, "workset") == 0)
		return config_size(name, value, &c->workset, e);
	if (strcmp(name, "fill") == 0)
		return config_fill(c, value, e);
	if (strcmp(name, "downtime-limit") == 0)
		return config_limit(c, value, e);
	if (strcmp(name, "rate") == 0)
		return number_parse(value, "--rate", 0, 1000000000, &c->rate, e);
	if (strcmp(name, "vcpus") == 0) {
		rc = number_parse(value, "--vcpus", 1, BENCH_CPUS_MAX, &v, e);
		c->vcpus = (unsigned)v;
		return rc;
	}
	if (strcmp(name, "streams") == 0) {
		v = 0;
		rc = 0;
		if (strcmp(value, "auto") != 0)
			rc = number_parse(value, "--streams", 1, 16, &v, e);
		c->streams = (unsigned)v;
		return rc;
	}
	if (strcmp(name, "on-stall") == 0) {
		if (mig_on_stall_parse(value, &c->on_stall, NULL))
			return err_set(e, -EINVAL,
				"--on-stall '%s' is not one of throttle, freeze, abort", value);
		return 0;
	}
	if (strcmp(name, "thp") == 0) {
		c->thp = strcmp(value, "on") == 0;
		return c->thp || strcmp(value, "off") == 0
			       ? 0
			       : err_set(e, -EINVAL, "--thp '%s' is neither on nor off", value);
	}
	if (strcmp(name, "test-stall") == 0)
		return config_test_stall(c, value, e);
	if (strcmp(name, "pattern") == 0) {
		rc = config_word("--pattern", value, patterns, 3, &word, e);
		c->pattern = (enum bench_pattern)word;
		return rc;
	}
	if (strcmp(name, "content") == 0) {
		rc = config_word("--content", value, contents, 3, &word, e);
		c->content = (enum bench_content)word;
		return rc;
	}
	return err_set(e, -EINVAL, "there is no option --%s", name);
}

int bench_config_check(const struct bench_config *c, struct err *e)
{
	char have[32], want[32];

	if (c->memory < GMEM_SIZE_MIN)
		return err_set(e, -EINVAL, "--memory %s is too little: it must be at least 64 MiB",
			size_format(c->memory, have, sizeof(have)));
	if (c->workset < c->vcpus * BENCH_PAGE_SIZE)
		return err_set(e, -EINVAL, "--workset %s is too little: it must be a page a vCPU",
			size_format(c->workset, have, sizeof(have)));
	if (c->workset > c->memory - c->memory / 256 - CONFIG_GUEST_OWN)
		return err_set(e, -EINVAL, "--workset %s does not fit in a guest of %s",
			size_format(c->workset, want, sizeof(want)),
			size_format(c->memory, have, sizeof(have)));
	if (c->fill != BENCH_FILL_ALL && c->fill > c->memory)
		return err_set(e, -EINVAL, "--fill %s is more than the guest's %s",
			size_format(c->fill, want, sizeof(want)),
			size_format(c->memory, have, sizeof(have)));
	return 0;
}

const char *bench_config_append(const struct bench_config *c, char *buf, size_t n)
{
	char fill[32] = "all";

	if (c->fill != BENCH_FILL_ALL)
		snprintf(fill, sizeof(fill), "%" PRIu64, c->fill);
	snprintf(buf, n,
		"workset=%" PRIu64 " rate=%" PRIu64 " pattern=%s content=%s fill=%s cpus=%u",
		c->workset, c->rate, patterns[c->pattern], contents[c->content], fill, c->vcpus);
	return buf;
}

const char *bench_config_title(const struct bench_config *c, char *buf, size_t n)
{
	char memory[32], workset[32], limit[32], rate[48] = "flat out", rest[160] = "";
	size_t k = 0;

	if (c->rate)
		snprintf(rate, sizeof(rate), "at %" PRIu64 " pages/s", c->rate);
	if (c->pattern != BENCH_UNIFORM || c->content != BENCH_RANDOM)
		k += (size_t)snprintf(rest + k, sizeof(rest) - k, ", %s, %s", patterns[c->pattern],
			contents[c->content]);
	if (c->fill != BENCH_FILL_ALL)
		k += (size_t)snprintf(
			rest + k, sizeof(rest) - k, ", %" PRIu64 " MiB filled", c->fill >> 20);
	if (c->streams == 0)
		k += (size_t)snprintf(rest + k, sizeof(rest) - k, ", streams as it likes");
	else if (c->streams != 1)
		k += (size_t)snprintf(rest + k, sizeof(rest) - k, ", %u streams", c->streams);
	if (c->on_stall != MIG_ON_STALL_THROTTLE)
		k += (size_t)snprintf(rest + k, sizeof(rest) - k, ", %s on stall",
			mig_on_stall_name(c->on_stall));
	if (c->thp)
		k += (size_t)snprintf(rest + k, sizeof(rest) - k, ", huge pages");
	if (c->test_stall_ns)
		snprintf(rest + k, sizeof(rest) - k, ", TEST STALL of %" PRIu64 " us",
			(uint64_t)(c->test_stall_ns / NSEC_PER_USEC));
	snprintf(buf, n, "%s, %u vCPU%s, %s rewritten %s, limit %s%s",
		size_format(c->memory, memory, sizeof(memory)), c->vcpus, c->vcpus == 1 ? "" : "s",
		size_format(c->workset, workset, sizeof(workset)), rate,
		duration_format(c->downtime_limit_ns, limit, sizeof(limit)), rest);
	return buf;
}
