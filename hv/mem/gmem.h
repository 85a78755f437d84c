/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: the only door from guest-physical addresses to host memory. RAM is one memfd,
 * mapped shared once, presented to the guest as regions split around the PCI hole.
 * Invariant: nobody outside this file turns a guest-physical address into a pointer, and every
 * write the VMM makes to guest memory is marked in the written bitmap after the bytes are there:
 * KVM does not see those writes, and the migration would lose them.
 * Next in the flow: hv/mem/dirty.h.
 */
#ifndef WATARI_MEM_GMEM_H
#define WATARI_MEM_GMEM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/mem/backing.h"

#define GMEM_PAGE_SHIFT  12
#define GMEM_PAGE_SIZE   4096ull
#define GMEM_REGIONS_MAX 4
#define GMEM_HOLE_START  0xc0000000ull  /* first byte of the PCI hole: 3 GiB */
#define GMEM_HOLE_END    0x100000000ull /* RAM goes on at 4 GiB */
#define GMEM_SIZE_MIN    (64ull << 20)
#define GMEM_SIZE_MAX    (16ull << 40)

struct gmem_region {
	uint32_t id;        /* index in gmem.regions; the region's number on the wire */
	uint64_t gpa;       /* first guest-physical byte, 2 MiB aligned */
	uint64_t size;      /* bytes, a multiple of 2 MiB except at the end of RAM (4 KiB) */
	uint8_t *host;      /* mapping in this process */
	uint64_t fd_offset; /* where the region starts in the memfd */
	uint64_t *written;  /* pages the VMM wrote since last taken; atomic, see bitmap.h */
};

struct gmem {
	int fd;
	uint64_t size; /* bytes of RAM in all regions */
	struct backing backing;
	uint32_t nregions;
	struct gmem_region regions[GMEM_REGIONS_MAX];
	pthread_mutex_t give_lock;
	unsigned kept; /* gmem_keep() calls not taken back; under give_lock */
};

/*
 * Checks @size (a multiple of 4 KiB, GMEM_SIZE_MIN..GMEM_SIZE_MAX) against what the host has free
 * now, and says both figures when it does not fit (-ENOMEM). @overcommit skips that check.
 */
int gmem_check_size(uint64_t size, bool overcommit, struct err *e);

/* Makes @size bytes of RAM of ordinary pages, all holes: nothing is allocated until touched. */
int gmem_init(struct gmem *m, uint64_t size, struct err *e);
/* As gmem_init(), of what @b says, which backing_check() has let through. */
int gmem_init_backed(struct gmem *m, uint64_t size, const struct backing *b, struct err *e);
void gmem_fini(struct gmem *m);

/* The region that holds all of gpa..gpa+len-1, or NULL. Any thread. */
const struct gmem_region *gmem_find(const struct gmem *m, uint64_t gpa, uint64_t len);

/* Copies out of guest memory. false (and @dst zeroed) if any byte is not RAM. Any thread. */
bool gmem_read(const struct gmem *m, uint64_t gpa, void *dst, size_t len);
/* Copies into guest memory and marks the pages. false (nothing written) if not RAM. Any thread. */
bool gmem_write(const struct gmem *m, uint64_t gpa, const void *src, size_t len);
/* A writable view for bulk loads; the caller calls gmem_mark() when the bytes are in. */
uint8_t *gmem_view(const struct gmem *m, uint64_t gpa, uint64_t len);
/* Marks pages the VMM has written through gmem_view(). After the writes, never before. */
void gmem_mark(const struct gmem *m, uint64_t gpa, uint64_t len);

/*
 * The next allocated extent of region @r at or after byte @from: 1 and [*start, *end) in bytes
 * from the region's start; 0: nothing further. Never-touched memory is a hole and is skipped;
 * the scan itself touches nothing. Any thread.
 */
int gmem_next_data(const struct gmem *m, const struct gmem_region *r, uint64_t from,
	uint64_t *start, uint64_t *end, struct err *e);

/*
 * Allocates [off, off+len) of @r, in the largest pages the mapping may have, without changing what
 * is there already. Faults the pages into this process. Any thread. 0 or negative errno: -EINVAL
 * from a kernel before 5.14, -ENOMEM and others.
 */
int gmem_populate(const struct gmem *m, const struct gmem_region *r, uint64_t off, uint64_t len);

/* Gives pages back to the host: they read as zero and are holes again. Offsets as above. */
int gmem_discard(const struct gmem *m, const struct gmem_region *r, uint64_t off, uint64_t len,
	struct err *e);

/*
 * The guest gives gpa..gpa+len-1 up for good or for now: whole pages of it become holes, and are
 * marked. False, and nothing happened, while gmem_keep() is in force or if it is not all RAM. Any
 * thread.
 */
bool gmem_give_back(struct gmem *m, uint64_t gpa, uint64_t len);
/*
 * While a transport may have guest memory registered, its pages must stay the same pages: a card
 * goes on reading the one that was pinned, not the one that took its place. @keep: from the return
 * on nothing is given back; nests. Any thread.
 */
void gmem_keep(struct gmem *m, bool keep);
bool gmem_kept(struct gmem *m);

/* All RAM back to holes, e.g. at a guest reset. vCPUs must be stopped. */
int gmem_discard_all(const struct gmem *m, struct err *e);

/* True if the 4 KiB page at @p is all zero. */
bool gmem_page_is_zero(const void *p);

#endif
