/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the stages of a measurement (see campaign.h). Must never return before both ends are gone.
 * Next in the flow: bench/move.c for each move, bench/report.c for the end.
 */
#include "bench/campaign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/guest/page.h"
#include "hv/base/clock.h"
#include "hv/base/size.h"

#define CAMPAIGN_REPORT_NS (20 * NSEC_PER_SEC) /* from the start to the guest's report */
#define CAMPAIGN_POLL_MS   5
#define CAMPAIGN_FILL_MIN  (30ull << 20) /* bytes a second: slower is taken for a hang */

static int campaign_kvm(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, "a guest needs KVM, and /dev/kvm cannot be opened");
	close(fd);
	return 0;
}

static int campaign_report(struct bench_ends *x, struct observed *o, struct err *e)
{
	uint64_t end = clock_mono_ns() + CAMPAIGN_REPORT_NS;
	int rc;

	while ((rc = observe_header(o, e)) == -EAGAIN && clock_mono_ns() < end) {
		rc = ends_wait(x, -1, CAMPAIGN_POLL_MS, e);
		if (rc < 0)
			break;
	}
	if (rc == 0 && o->h.tsc_khz == 0)
		rc = err_set(e, -ENOTSUP, "the guest cannot find out how fast its clock ticks");
	return rc;
}

/* Until every vCPU has filled its share and works. */
static int campaign_fill(struct bench_ends *x, struct observed *o, struct progress *p,
	struct campaign *k, struct err *e)
{
	uint64_t start = clock_mono_ns(), bytes, limit;
	char size[32];
	int rc;

	rc = campaign_report(x, o, e);
	if (rc < 0)
		return rc;
	k->fill_bytes = bytes = o->h.fill_pages * BENCH_PAGE_SIZE;
	progress_step(p, "the guest fills %s", size_format(bytes, size, sizeof(size)));
	rc = observe_populate(o, e);
	limit = start + CAMPAIGN_REPORT_NS + bytes / CAMPAIGN_FILL_MIN * NSEC_PER_SEC;
	while (rc == 0 && !observe_all(o, BENCH_STATE_RUNNING)) {
		if (clock_mono_ns() > limit)
			return err_set(
				e, -ETIMEDOUT, "the guest takes too long to fill its memory");
		rc = ends_wait(x, -1, CAMPAIGN_POLL_MS, e);
	}
	k->fill_ns = clock_mono_ns() - start;
	if (rc == 0)
		rc = observe_header(o, e); /* now with the number of vCPUs that work */
	if (rc == 0 && o->h.cpus != o->h.cpus_wanted)
		rc = err_set(e, -EIO, "only %u of the guest's %u vCPUs came up",
			(unsigned)o->h.cpus, (unsigned)o->h.cpus_wanted);
	return rc;
}

static void campaign_say(struct progress *p, const struct campaign *k)
{
	const struct bench_run *r = &k->run[k->done - 1];
	char guest[32], freeze[32], vmm[32], total[32], sent[32];

	progress_line(p,
		"move %u/%u: longest pause %s, at the freeze %s (VMM: %s); %s in all, %u rounds, %s sent, %s",
		k->done, k->config.runs,
		duration_format(bench_run_blackout_ns(r), guest, sizeof(guest)),
		duration_format(bench_run_freeze_ns(r), freeze, sizeof(freeze)),
		duration_format(r->vmm.blackout.total_ns, vmm, sizeof(vmm)),
		duration_format(r->vmm.total_ns, total, sizeof(total)), r->vmm.rounds,
		size_format(r->vmm.sent_bytes, sent, sizeof(sent)),
		verify_passed(&r->verify) ? "verified" : "NOT VERIFIED");
	if (r->lost_ns > BENCH_CLOCK_NOISE_NS)
		progress_line(p, "  the guest's clock fell behind by %s; counted as blackout",
			duration_format(r->lost_ns, guest, sizeof(guest)));
	if (r->verify.pages_differ)
		progress_line(p, "  %llu pages differ from the source, the first at 0x%llx",
			(unsigned long long)r->verify.pages_differ,
			(unsigned long long)r->verify.first_differ);
	if (r->verify.stamps_bad)
		progress_line(p, "  %llu pages of the working set are bad, the first is page %llu",
			(unsigned long long)r->verify.stamps_bad,
			(unsigned long long)r->verify.first_bad);
	if (r->verify.stamp_errors)
		progress_line(p, "  the guest itself found %llu bad stamps",
			(unsigned long long)r->verify.stamp_errors);
}

static int campaign_moves(struct bench_ends *x, struct observed *o, struct progress *p,
	struct campaign *k, struct err *e)
{
	for (int from = 0; k->done < k->config.runs; from = !from) {
		int rc;

		progress_step(p, "move %u/%u", k->done + 1, k->config.runs);
		rc = bench_move(x, &k->config, from, o, p, &k->run[k->done], e);
		if (rc < 0)
			return err_wrap(e, "move %u of %u", k->done + 1, k->config.runs);
		k->done++;
		campaign_say(p, k);
	}
	return 0;
}

static int campaign_stages(struct bench_ends *x, struct observed *o, struct progress *p,
	struct campaign *k, struct err *e)
{
	const struct bench_config *c = &k->config;
	int rc;

	progress_step(p, "starting two ends and a guest");
	rc = ends_listen(x, e);
	if (rc < 0)
		return err_wrap(e, "starting the receivers");
	rc = ends_boot(x, c, e);
	if (rc == 0)
		rc = observe_attach(o, x->end[0].dir, ENDS_NAME, e);
	if (rc < 0)
		return err_wrap(e, "starting the guest");
	rc = campaign_fill(x, o, p, k, e);
	if (rc < 0)
		return err_wrap(e, "filling the guest");
	return campaign_moves(x, o, p, k, e);
}

int campaign_run(
	const struct bench_config *c, struct progress *p, struct campaign *out, struct err *e)
{
	struct observed o = OBSERVED_NONE;
	struct bench_ends x;
	int rc;

	*out = (struct campaign){ .config = *c };
	rc = campaign_kvm(e);
	if (rc < 0)
		return rc;
	out->run = calloc(c->runs, sizeof(*out->run));
	if (!out->run)
		return err_set(e, -ENOMEM, "no memory for %u runs", c->runs);
	rc = ends_init(&x, e);
	if (rc == 0)
		rc = campaign_stages(&x, &o, p, out, e);
	progress_end(p);
	if (rc < 0 && rc != -ECANCELED)
		ends_print_logs(&x, stderr);
	observe_detach(&o);
	ends_fini(&x);
	return rc;
}

void campaign_free(struct campaign *k)
{
	free(k->run);
	k->run = NULL;
}

bool campaign_passed(const struct campaign *k)
{
	for (unsigned i = 0; i < k->done; i++)
		if (!verify_passed(&k->run[i].verify))
			return false;
	return k->done == k->config.runs;
}
