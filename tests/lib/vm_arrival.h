/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move without a transport: a machine of this process becomes another one of it, by the same
 * operations that a migration uses. Next in the flow: tests/unit/vm_state_test.c.
 */
#ifndef WATARI_TESTS_VM_ARRIVAL_H
#define WATARI_TESTS_VM_ARRIVAL_H

#include "hv/vm/vm.h"

/* All memory that @from has touched. @to is of the same size. */
void arrival_copy_memory(struct vm *to, struct vm *from);

/*
 * Freezes @from and makes its like, loaded as after @elapsed_ns on the way and not thawed. @from
 * stays, frozen. NULL: @e says why.
 */
struct vm *arrival(struct vm *from, const struct vm_config *c, uint64_t elapsed_ns, struct err *e);

#endif
