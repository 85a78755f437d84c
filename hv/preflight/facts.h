/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a check may know: one record of facts for each end of a move. The source's also says what
 * the guest needs; the target fills in, for the same list, what it found. Records travel as
 * sections (facts_codec.c); a peer's is never believed beyond its bounds.
 * Invariant: a fact that nobody found out is 0, "" or PF_UNKNOWN, and no check takes that for a
 * good one. Next in the flow: gather.h fills them, preflight.h compares them.
 */
#ifndef WATARI_PREFLIGHT_FACTS_H
#define WATARI_PREFLIGHT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"

#define PF_DISKS   16
#define PF_NETS    8
#define PF_PATH    1024 /* bytes, NUL included, as the others */
#define PF_NAME    64
#define PF_WORDS   160 /* a sentence of the host's */
#define PF_FORMATS 512
#define PF_CPUID   8192

enum pf_know { PF_UNKNOWN, PF_NO, PF_YES };

enum pf_lock {
	PF_LOCK_UNKNOWN,
	PF_LOCK_HELD, /* source: it has the trial lock; target: another host has it */
	PF_LOCK_FREE, /* target: it could be taken although the source has it */
	PF_LOCK_NONE, /* there is no lock service: `lock_error` */
};

struct pf_disk {
	char name[PF_NAME], path[PF_PATH];
	bool readonly;
	/* As this host sees it. */
	char error[PF_WORDS]; /* "" or why it cannot be used */
	bool device;          /* a block device, not a file */
	uint64_t size, inode;
	char identity[128]; /* of a device: what its vendor made it */
	uint64_t nonce;     /* source: written beside it, never sent; target: read there */
	uint64_t digest;    /* read-only: of some blocks of it */
	enum pf_know held;  /* somebody has a lock on the image itself, as its guest has */
	enum pf_lock lock;
	char lock_error[PF_WORDS];
};

struct pf_net {
	char name[PF_NAME], tap[16], bridge[16];
	enum pf_know have_bridge, have_tap; /* of that name, on this host */
};

/* The way to the other end, as this host sees it. */
struct pf_link {
	char device[16];       /* "" unknown */
	enum pf_know here;     /* both ends are on this host */
	enum pf_know fallback; /* it is the device of the default route */
	uint64_t mbit;         /* 0: unknown */
	uint32_t mtu;          /* 0: unknown */
	uint16_t port;         /* that listens here while the check lasts; 0: none */
	enum pf_know reached;  /* the other end's port answered a connection from here */
	char reach_error[PF_WORDS];
};

struct pf_facts {
	/* Versions. */
	char software[32], formats[PF_FORMATS]; /* "name:version " of each section of state */
	uint32_t protocol;
	/* The guest: the source says, the target repeats nothing. */
	char guest[PF_NAME], kernel[PF_PATH];
	uint32_t cpus;
	uint64_t memory, allocated; /* bytes */
	uint64_t page;              /* bytes of its reserved huge pages; 0: ordinary ones */
	uint64_t nodes;             /* bit n: bound to NUMA node n */
	/* Processor: the source says what the guest was given. */
	uint8_t cpuid[PF_CPUID];
	uint32_t cpuid_len; /* 0: unknown */
	uint32_t tsc_khz;   /* 0: unknown */
	enum pf_know tsc_scaling;
	char kvm_error[PF_WORDS];
	/* Memory of this host. */
	uint64_t available;  /* bytes; 0: unknown */
	uint64_t huge_free;  /* bytes of pages of the size the guest has */
	uint64_t nodes_here; /* bit n: NUMA node n has memory; 0: unknown */
	uint64_t memlock;    /* bytes that may be locked; UINT64_MAX: all; 0 may be true */
	enum pf_know memlock_known, overcommit;
	/* Names and places. */
	char name_error[PF_WORDS]; /* why the guest's name is not free here */
	enum pf_know name_free, kernel_there;
	uint64_t space; /* bytes free where logs and definitions are kept */
	enum pf_know space_known;
	/* Time. */
	enum pf_know synced; /* the kernel's clock is disciplined */
	uint64_t clock_error_us;
	struct pf_link link;
	uint32_t ndisks, nnets;
	struct pf_disk disk[PF_DISKS];
	struct pf_net net[PF_NETS];

	/* Measured by the source on the way; these do not travel. */
	char unreached[ERR_MSG_MAX]; /* "" or why the target could not be asked */
	bool stranger;               /* ... namely that it speaks another version */
	char transport[16], note[ERR_MSG_MAX];
	bool pins; /* it locks guest memory */
	enum pf_know clock_known;
	int64_t offset_ns; /* target's clock minus ours */
	uint64_t rtt_ns;
	uint64_t rate; /* bytes/s of one connection; 0: unknown */
	enum pf_know dirty_known;
	uint64_t dirty_rate;        /* bytes/s */
	uint64_t downtime_limit_ns; /* 0: unknown */
};

/* As sections; the source's nonces and what it measured stay here. */
void pf_facts_encode(const struct pf_facts *f, bool source, struct wbuf *w);
/* Fills @f, which the caller allocated, whatever the peer sent: 0 or -EPROTO. */
int pf_facts_decode(struct pf_facts *f, const void *bytes, size_t n, struct err *e);

#endif
