/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of the hand-over's protocol in a real process, each by its name in $WATARI_MUTATE; without
 * one the program is what it is. They are the ones of tests/lib/handover_world.h and of the model.
 * Owns what build/watari-mutant has beside the objects of build/watari: the linker leads the calls
 * of these four names through here (MUTANT_WRAPS in the Makefile), so nothing of it can be in a
 * product. Must never do anything else than the fault.
 * Why so: docs/decisions/0071-mutants-of-the-program.md. Next in the flow: crash-mutants.bats.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hv/dev/block_internal.h"
#include "hv/dev/block_own.h"
#include "hv/migrate/source.h"
#include "hv/migrate/target.h"
#include "hv/vm/vm.h"

/* What the names are the real things of, and what is called instead. */
extern const struct mig_owner_ops __real_vm_owner_ops, __wrap_vm_owner_ops;
bool __real_source_todo(struct source *s, struct source_todo *out);
bool __wrap_source_todo(struct source *s, struct source_todo *out);
bool __real_target_todo(struct target *t, struct target_todo *out);
bool __wrap_target_todo(struct target *t, struct target_todo *out);
enum block_own __real_block_own_acquire(
	struct block *b, struct block_owner *o, bool kept, struct err *e);
enum block_own __wrap_block_own_acquire(
	struct block *b, struct block_owner *o, bool kept, struct err *e);

static void *machine; /* the one of this process, once a move has asked whose it is */

static bool mutated(const char *name)
{
	const char *wanted = getenv("WATARI_MUTATE");

	return wanted && strcmp(wanted, name) == 0;
}

/* ---- release-late: the source keeps its locks over COMMIT, and for as long as it is there -----
 */

static int mutant_release(void *vm, struct err *e)
{
	return mutated("release-late") ? 0 : __real_vm_owner_ops.release(vm, e);
}

static void mutant_who(void *vm, struct mig_owner *out)
{
	machine = vm;
	__real_vm_owner_ops.who(vm, out);
}

static enum mig_acquire mutant_acquire(void *vm, uint64_t epoch, struct err *e)
{
	return __real_vm_owner_ops.acquire(vm, epoch, e);
}

const struct mig_owner_ops __wrap_vm_owner_ops = {
	.who = mutant_who,
	.release = mutant_release,
	.acquire = mutant_acquire,
};

/* ---- source-early, target-early: the guest runs before it may ---------------------------------
 */

static void mutant_thaw(void)
{
	static bool thawed;

	if (!thawed)
		vm_mig_ops.thaw(machine);
	thawed = true;
}

/* After COMMIT: before the storage has answered, or, without an arbiter, the target has promised.
 */
bool __wrap_source_todo(struct source *s, struct source_todo *out)
{
	if (!__real_source_todo(s, out))
		return false;
	if (mutated("source-early") && s->committed &&
		(s->params.epoch ? out->type == SOURCE_DO_ACQUIRE
				 : out->type == SOURCE_DO_FINISH && s->state == SOURCE_IN_DOUBT))
		mutant_thaw();
	return true;
}

/* Before the storage has answered, or, without an arbiter, the source has said COMMIT. */
bool __wrap_target_todo(struct target *t, struct target_todo *out)
{
	if (!__real_target_todo(t, out))
		return false;
	if (mutated("target-early") &&
		out->type == (t->epoch ? TARGET_DO_ACQUIRE : TARGET_DO_LOADED))
		mutant_thaw();
	return true;
}

/* ---- no-epoch: whoever gets the lock runs the guest, whatever the record says ------------------
 */

enum block_own __wrap_block_own_acquire(
	struct block *b, struct block_owner *o, bool kept, struct err *e)
{
	struct block_record found;

	if (mutated("no-epoch") && block_record_read(b, &found) == 0)
		o->epoch = found.owner.epoch;
	return __real_block_own_acquire(b, o, kept, e);
}
