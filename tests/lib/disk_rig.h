/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio disk with a driver on the other side of its rings, and as many hosts as a test wants to
 * have it at: what the tests of virtio-blk share. Fails the test that uses it when it cannot go on.
 */
#ifndef WATARI_TESTS_DISK_RIG_H
#define WATARI_TESTS_DISK_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/dev/virtio_blk.h"
#include "hv/dev/virtio_blk_req.h"
#include "hv/dev/virtio_core.h"

#define DISK     (8u << 20)
#define ENTRIES  256u
#define DESC     0x100000ull /* rings of queue 0; each other's 64 KiB further on */
#define AVAIL    0x104000ull
#define USED     0x106000ull
#define HEADERS  0x200000ull /* 32 bytes a request: header, then the status at 16 */
#define DATA     0x400000ull
#define QUEUES   4u
#define FEATURES (1ull << 32 | 1ull << VBLK_F_FLUSH | 1ull << VBLK_F_MQ | 1ull << VBLK_F_DISCARD)

enum { IN = 0, OUT = 1, FLUSH = 4, ID = 8, DISCARD = 11 };

/* One host, with the guest's memory, which in these tests is always already there. */
struct disk_host {
	struct bus pio, mmio;
	struct pci_bus *pci;
	struct virtio *v;
	int answer; /* instead of the kernel's, from now on */
	unsigned ops[BLOCK_OPS];
};

struct disk_guest {
	char dir[64], path[128], note[160];
	struct gmem mem;
	uint16_t avail[QUEUES], used[QUEUES];
};

/* Guest memory, and an image of DISK bytes in a folder of its own. */
void disk_guest_init(struct disk_guest *g);
void disk_guest_fini(struct disk_guest *g);
/* The disk at a host, as virtio_blk_new() says; @arriving: the state will be loaded. */
int disk_host_try(
	struct disk_host *h, struct disk_guest *g, bool arriving, bool readonly, struct err *e);
void disk_host_open(struct disk_host *h, struct disk_guest *g, bool arriving);
void disk_host_close(struct disk_host *h);
/* Guest memory, little-endian. */
void disk_put(struct disk_guest *g, uint64_t at, uint64_t v, unsigned n);
uint64_t disk_get(struct disk_guest *g, uint64_t at, unsigned n);
/* Where one of queue @q's rings is: of DESC, AVAIL, USED. */
uint64_t disk_ring(uint64_t base, unsigned q);
/* The driver agrees on @features and sets the queues up. */
void disk_driver_start(struct disk_host *h, struct disk_guest *g, uint64_t features);
void disk_desc(
	struct disk_guest *g, unsigned q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags);
void disk_offer(struct disk_guest *g, unsigned q, unsigned head);
/*
 * Offers request number @id of three segments: header, @len bytes at @data, status. At most 80 that
 * follow each other are outstanding in a queue. The device is not told.
 */
void disk_request(struct disk_guest *g, unsigned q, unsigned id, uint32_t type, uint64_t sector,
	uint64_t data, uint32_t len);
unsigned disk_status(struct disk_guest *g, unsigned id);
void disk_kick(struct disk_host *h, unsigned q);
/* Waits for something to do, and lets the device do it. */
void disk_turn(struct disk_host *h);
/* Kicks, and lets the device work until all that queue @q was offered is answered. */
void disk_work(struct disk_host *h, struct disk_guest *g, unsigned q);
/* One request, answered: its status. */
unsigned disk_ask(struct disk_host *h, struct disk_guest *g, uint32_t type, uint64_t sector,
	uint64_t data, uint32_t len);
void disk_fill(struct disk_guest *g, uint64_t at, uint32_t len, unsigned seed);
void disk_same(struct disk_guest *g, uint64_t a, uint64_t b, uint32_t len);

#endif
