/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: every disk is there at the target, and is proven to be the same one (S8): a file by a
 * number that the source wrote beside it, a device by what its vendor made it, a read-only image by
 * its bytes. The same path proves nothing. Next in the flow: check_disk_locks.c.
 */
#include <inttypes.h>
#include <string.h>

#include "hv/preflight/checks.h"

static void disks_device(const struct pf_disk *a, const struct pf_disk *b, struct pf_result *r)
{
	if (!a->identity[0] || !b->identity[0])
		pf_find(r, PF_WARN,
			"disk '%s': %s is a device whose identity is not known %s; only its size was "
			"compared",
			a->name, a->path, a->identity[0] ? "there" : "here");
	else if (strcmp(a->identity, b->identity) != 0)
		pf_find(r, PF_FAIL, "disk '%s': %s is device '%s' here and '%s' there", a->name,
			a->path, a->identity, b->identity);
	else
		pf_find(r, PF_PASS, "disk '%s': device '%s' at both ends", a->name, a->identity);
}

static void disks_readonly(const struct pf_disk *a, const struct pf_disk *b, struct pf_result *r)
{
	if (!a->digest || !b->digest)
		pf_find(r, PF_WARN, "disk '%s': %s could not be read %s to compare it", a->name,
			a->path, a->digest ? "there" : "here");
	else if (a->digest != b->digest)
		pf_find(r, PF_FAIL, "disk '%s': %s holds other bytes there", a->name, a->path);
	else
		pf_find(r, PF_PASS,
			"disk '%s': the same size and the same bytes, as far as was read", a->name);
}

static void disks_file(const struct pf_disk *a, const struct pf_disk *b, struct pf_result *r)
{
	if (!a->nonce)
		pf_find(r, PF_WARN,
			"disk '%s': nothing can be written beside %s here, so that it is the same "
			"file there is not proven",
			a->name, a->path);
	else if (a->nonce != b->nonce)
		pf_find(r, PF_FAIL,
			"disk '%s': %s there is another file: what was written beside it here is not "
			"to be read there",
			a->name, a->path);
	else if (b->held == PF_NO && b->lock == PF_LOCK_HELD)
		pf_find(r, PF_FAIL,
			"disk '%s': %s there is another file in the same folder: the guest's lock is "
			"not on it",
			a->name, a->path);
	else if (a->inode != b->inode)
		pf_find(r, PF_WARN,
			"disk '%s': %s is in the same folder there, but is file number %" PRIu64
			" here and %" PRIu64 " there",
			a->name, a->path, a->inode, b->inode);
	else
		pf_find(r, PF_PASS,
			"disk '%s': the same file, proven by a number written beside it", a->name);
}

static void disks_one(const struct pf_disk *a, const struct pf_disk *b, struct pf_result *r)
{
	if (strcmp(a->name, b->name) != 0)
		pf_find(r, PF_FAIL, "disk '%s': the target says nothing of it", a->name);
	else if (b->error[0])
		pf_find(r, PF_FAIL, "disk '%s': cannot open %s there: %s", a->name, a->path,
			b->error);
	else if (a->error[0])
		pf_find(r, PF_FAIL, "disk '%s': cannot open %s here: %s", a->name, a->path,
			a->error);
	else if (a->held == PF_NO)
		pf_find(r, PF_FAIL,
			"disk '%s': %s here is not the image that the guest uses: it was renamed or "
			"mounted over",
			a->name, a->path);
	else if (a->device != b->device)
		pf_find(r, PF_FAIL, "disk '%s': %s is a %s here and a %s there", a->name, a->path,
			a->device ? "device" : "file", b->device ? "device" : "file");
	else if (a->size != b->size)
		pf_find(r, PF_FAIL,
			"disk '%s': %s has %" PRIu64 " bytes here and %" PRIu64 " there", a->name,
			a->path, a->size, b->size);
	else if (a->device)
		disks_device(a, b, r);
	else if (a->readonly)
		disks_readonly(a, b, r);
	else
		disks_file(a, b, r);
}

static void check_disks(const struct pf_facts *src, const struct pf_facts *dst, struct pf_result *r)
{
	if (!src->ndisks)
		pf_find(r, PF_PASS, "the guest has no disk");
	for (uint32_t i = 0; i < src->ndisks; i++) {
		if (i >= dst->ndisks)
			pf_find(r, PF_FAIL, "disk '%s': the target says nothing of it",
				src->disk[i].name);
		else
			disks_one(&src->disk[i], &dst->disk[i], r);
	}
}

const struct pf_check pf_check_disks = {
	.name = "disks",
	.what = "every disk at both ends: its path, size and identity, and a number written beside it "
		"here and read there",
	.why = "a guest that goes on with another disk destroys it, and loses its own",
	.mend = "mount the same storage at the same path on both hosts",
	.run = check_disks,
};
