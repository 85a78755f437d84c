/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's few files share: the decisions taken in ring 0 (boot.c) and used in ring 3
 * (work.c), and the doors between them in start.S.
 * Next in the flow: bench/guest/start.S.
 */
#ifndef WATARI_BENCH_GUEST_GUEST_H
#define WATARI_BENCH_GUEST_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "bench/guest/report.h"

#define GUEST_STACK_SIZE 4096ull

/* Written by the boot vCPU in ring 0, before any other vCPU starts; read-only from then on. */
struct guest {
	uint64_t stacks; /* BENCH_CPUS_MAX stacks of GUEST_STACK_SIZE, one a vCPU. First: start.S */
	uint64_t cpus;   /* of the command line; vCPUs beyond it halt. Second: start.S */
	uint64_t versions;                              /* the version table */
	uint64_t workset, fill, rate, content, pattern; /* as in struct bench_header */
	uint64_t tsc_khz;                               /* what to pace by, never 0 */
	uint64_t tsc_khz_found;                         /* 0: a guess */
	uint64_t areas;
	struct bench_area area[BENCH_AREAS_MAX];
};
extern struct guest guest;

/* Ring 0, boot vCPU, once. @start_info is the PVH structure's address. */
void boot_main(uint64_t start_info);
/* Ring 3, every vCPU, on its own stack. Never returns. */
_Noreturn void work_main(uint64_t cpu);

/* start.S: */
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
extern uint64_t boot_pml4[512], boot_pdpt[512], boot_pd[512];
extern uint64_t guest_tickets;    /* vCPUs that have arrived, the boot vCPU included */
extern char ap_start[], ap_end[]; /* real-mode code to copy to AP_TRAMPOLINE */
extern char image_end[];          /* guest.ld */

#define AP_TRAMPOLINE 0x8000ull

static inline uint64_t guest_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (uint64_t)hi << 32 | lo;
}

#endif
