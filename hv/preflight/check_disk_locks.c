/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: the lock on a disk's image reaches from one host to the other (S8): the target tries a
 * lock that the source holds, and must not get it. Next in the flow: check_memory.c.
 */
#include "hv/preflight/checks.h"

static void locks_one(const struct pf_disk *a, const struct pf_disk *b, struct pf_result *r)
{
	if (a->device)
		pf_find(r, PF_WARN,
			"disk '%s': no arbiter: a lock on the device %s is its host's alone",
			a->name, a->path);
	else if (a->lock == PF_LOCK_NONE || b->lock == PF_LOCK_NONE)
		pf_find(r, PF_FAIL, "disk '%s': no locks %s: %s", a->name,
			a->lock == PF_LOCK_NONE ? "here" : "there",
			a->lock == PF_LOCK_NONE ? a->lock_error : b->lock_error);
	else if (a->lock != PF_LOCK_HELD)
		pf_find(r, PF_WARN, "disk '%s': whether its locks work could not be tried",
			a->name);
	else if (b->lock == PF_LOCK_FREE)
		pf_find(r, PF_FAIL,
			"disk '%s': the target got a lock beside %s that this host holds: locks do "
			"not reach from one host to the other",
			a->name, a->path);
	else if (b->lock == PF_LOCK_HELD)
		pf_find(r, PF_PASS, "disk '%s': a lock held here was refused there", a->name);
	else
		pf_find(r, PF_WARN, "disk '%s': whether locks work there is not known", a->name);
}

static void check_disk_locks(
	const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	static const struct pf_disk none;
	unsigned files = 0, writable = 0;

	for (uint32_t i = 0; i < src->ndisks; i++) {
		if (src->disk[i].readonly)
			continue;
		writable++;
		files += !src->disk[i].device;
		locks_one(&src->disk[i], i < dst->ndisks ? &dst->disk[i] : &none, r);
	}
	if (!writable)
		pf_find(r, PF_PASS,
			"the guest writes no disk; should the link be cut at the "
			"hand-over, nothing but an operator decides");
	else if (!files)
		pf_find(r, PF_WARN,
			"should the link be cut at the hand-over, nothing but an operator "
			"decides");
}

const struct pf_check pf_check_disk_locks = {
	.name = "disk-locks",
	.what = "a lock beside every image that the guest writes, held here and tried there",
	.why = "when the link is cut at the hand-over, the lock decides which host runs the guest",
	.mend = "use a filesystem with locks between hosts (NFS version 4, a cluster's) for one disk",
	.run = check_disk_locks,
};
