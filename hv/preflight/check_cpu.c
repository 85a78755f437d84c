/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the target's KVM can give the guest every processor feature that it was given (S6).
 * Next in the flow: check_tsc.c.
 */
#include <errno.h>

#include "hv/kvm/kvm_host.h"
#include "hv/preflight/checks.h"

static void check_cpu(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	struct err e = { 0 };
	int rc;

	if (dst->kvm_error[0]) {
		pf_find(r, PF_FAIL, "the target cannot run a guest: %s", dst->kvm_error);
		return;
	}
	if (!src->cpuid_len || !dst->cpuid_len) {
		pf_find(r, PF_WARN, "the processor %s is not known",
			src->cpuid_len ? "there" : "of the guest");
		return;
	}
	rc = kvm_cpuid_fits(src->cpuid, src->cpuid_len, dst->cpuid, dst->cpuid_len, &e);
	if (rc == -EPROTO)
		pf_find(r, PF_WARN, "the processors cannot be compared: %s", e.msg);
	else if (rc)
		pf_find(r, PF_FAIL, "as the target sees it, %s", e.msg);
	else
		pf_find(r, PF_PASS, "the target has every feature that the guest was given");
}

const struct pf_check pf_check_cpu = {
	.name = "cpu",
	.what = "the CPUID of the guest, as a subset of what the target's KVM offers",
	.why = "a guest that uses an instruction the processor lacks crashes",
	.mend = "move it to a host with such a processor, or start it on the older one and move from there",
	.run = check_cpu,
};
