/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's definition: what it is made of. Travels with it as the section "config".
 * Must never be believed before vm_config_check() has seen it.
 * Next in the flow: config.c (scalars), config_devices.c (disks and nets); vm.h makes a machine of
 * it.
 */
#ifndef WATARI_VM_CONFIG_H
#define WATARI_VM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/uuid.h"
#include "hv/mem/backing.h"

#define VM_NAME_MAX    64  /* bytes, NUL included: letters, digits, '.', '_', '-' */
#define VM_CPUS_MAX    254 /* xAPIC ids without remapping */
#define VM_PATH_MAX    1024
#define VM_CMDLINE_MAX 2048
#define VM_PLACE_MAX   4096 /* 254 vCPUs, each with CPUs of its own, take 2.5 KB */

#define VM_DISKS_MAX       16
#define VM_NETS_MAX        8
#define VM_DEVICE_NAME_MAX 32 /* bytes, NUL included: of a disk or net; as a guest's name */
#define VM_DISK_SERIAL_MAX 21 /* the 20 bytes that virtio 1.2, 5.2.6 has for it, and a NUL */
#define VM_IFNAME_MAX      16 /* IFNAMSIZ */
#define VM_QUEUES_MAX      16

/* A disk; names are unique among a guest's disks, case set aside. */
struct vm_disk {
	char name[VM_DEVICE_NAME_MAX];
	char path[VM_PATH_MAX];          /* raw image or block device, absolute */
	char serial[VM_DISK_SERIAL_MAX]; /* what the guest reads as its id; "" for none */
	bool readonly;
	bool direct;     /* past the host's page cache */
	unsigned queues; /* 1..VM_QUEUES_MAX */
};

/* A network interface; names are unique among a guest's, case set aside. */
struct vm_net {
	char name[VM_DEVICE_NAME_MAX];
	char tap[VM_IFNAME_MAX];    /* "": the host names one */
	char bridge[VM_IFNAME_MAX]; /* the tap becomes its port; "": none */
	uint8_t mac[6];             /* unicast, not zero; see vm_net_mac() */
	unsigned queues;            /* pairs, 1..VM_QUEUES_MAX */
};

/* Which of the guest's lines is its console: the one that is typed to. */
enum vm_console { VM_CONSOLE_SERIAL, VM_CONSOLE_VIRTIO };

enum vm_tracking { VM_TRACKING_AUTO, VM_TRACKING_RING, VM_TRACKING_LOG };

/* What a guest is made of. Travels with it (vm_config_encode). */
struct vm_config {
	char name[VM_NAME_MAX];
	unsigned cpus;   /* 1..VM_CPUS_MAX */
	uint64_t memory; /* bytes */
	struct backing backing;
	char kernel[VM_PATH_MAX];
	char initrd[VM_PATH_MAX]; /* "" for none */
	char append[VM_CMDLINE_MAX];
	char serial[VM_PATH_MAX]; /* "stdio", "socket", "file:PATH", "none": where consoles lead */
	enum vm_console console;
	bool persistent; /* made from a file: each host it lives on keeps its definition */
	unsigned ndisks, nnets;
	struct vm_disk disks[VM_DISKS_MAX];
	struct vm_net nets[VM_NETS_MAX];
	uint8_t uuid[UUID_SIZE]; /* of this life of the guest: vm_new() makes it, it moves along */
	/* Of this host, does not travel: */
	enum vm_tracking tracking;
	bool overcommit;
	char place[VM_PLACE_MAX]; /* where its vCPUs run, as place.h has it; "": anywhere */
	bool arriving; /* its state will be loaded: what the source still holds is left alone */
};

/*
 * Checks every field, naming the bad one and its value: name (which may not start with '.' or '-'),
 * cpus, memory range, texts (no control characters), serial syntax, disks and nets. -EINVAL.
 * Whether the memory fits this host now, vm_new() asks.
 */
int vm_config_check(const struct vm_config *c, struct err *e);
/* Whether the host's free memory is no question: asked not to be one, or reserved pages are used.
 */
static inline bool vm_config_overcommit(const struct vm_config *c)
{
	return c->overcommit || c->backing.page;
}
/* As one section "config" of hv/base/section.h: fields in the order above, "tracking" and on left
 * out. */
void vm_config_encode(const struct vm_config *c, struct wbuf *w);
/* Reads that section, and nothing may follow, and checks it: -EPROTO or -EINVAL. The peer is not
 * trusted. */
int vm_config_decode(struct vm_config *c, struct rbuf *r, struct err *e);

/* The address of net @net of guest @guest where none is given: the same wherever it is asked. */
void vm_net_mac(uint8_t mac[6], const char *guest, const char *net);

#endif
