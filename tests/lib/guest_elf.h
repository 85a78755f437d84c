/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a kernel of a few bytes: a PVH ELF around machine code, for tests that boot a guest of
 * their own. Next in the flow: tests/unit/vm_guest.h.
 */
#ifndef WATARI_TESTS_GUEST_ELF_H
#define WATARI_TESTS_GUEST_ELF_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_ELF_LOAD 0x100000u /* where the code lies and is entered, 32-bit, flat, no paging */
#define GUEST_ELF_CODE 256u      /* bytes of code at most */

/* 0, or negative errno. */
int guest_elf_write(const char *path, const uint8_t *code, size_t n);

#endif
