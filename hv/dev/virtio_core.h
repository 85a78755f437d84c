/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device from within: what virtio.c (life and worker), virtio_pci.c (registers) and
 * virtio_state.c share and nobody else includes.
 * Invariant: active is true from activate() to reset(), and only then queues may be ready; held
 * means that nothing of the device runs. Everything below `lock` is under it.
 * Next in the flow: virtio.c.
 */
#ifndef WATARI_DEV_VIRTIO_CORE_H
#define WATARI_DEV_VIRTIO_CORE_H

#include <pthread.h>

#include "hv/dev/virtio.h"

/* Device status (2.1). */
#define VIRTIO_ST_FEATURES_OK 0x08u
#define VIRTIO_ST_DRIVER_OK   0x04u
#define VIRTIO_ST_NEEDS_RESET 0x40u

#define VIRTIO_F_INDIRECT  (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VIRTIO_NO_VECTOR 0xffffu

#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

/* A queue as the driver sets it up, and the rings once it runs. */
struct virtio_vq {
	struct virtio *v;
	uint16_t size, vector;
	bool enabled;
	uint64_t desc, avail, used;
	int kick_fd;
	struct virtq q;
};

/* Registers that a reset clears. */
struct virtio_regs {
	uint8_t status, generation, isr;
	uint16_t config_vector, queue_sel;
	uint32_t device_feature_sel, driver_feature_sel;
	uint64_t driver_features;
};

struct virtio {
	struct pci_dev pci;
	const struct gmem *mem;
	const struct virtio_ops *ops;
	void *self;
	uint64_t features; /* offered */
	unsigned nq;
	uint16_t queue_max;
	unsigned config_len, config_rw, config_rw_len;
	unsigned pci_cfg_cap;                /* offset of the window capability */
	uint64_t kick_addr;                  /* where kicks are wired to; bus lock; 0: nowhere */
	uint8_t config_0[VIRTIO_CONFIG_MAX]; /* as it starts */
	pthread_t thread;
	bool threaded;

	pthread_mutex_t lock;
	pthread_cond_t resumed; /* held became false, or quit true */
	bool held, quit, active, resetting, complained;
	struct loop *loop;
	int wake_fd;
	struct virtio_regs r;
	uint8_t config[VIRTIO_CONFIG_MAX];
	struct virtio_vq *vq;
};

/* virtio.c, lock held. */
void virtio_set_status(struct virtio *v, uint8_t status);
void virtio_interrupt(struct virtio *v, uint16_t vector, uint8_t isr);
/* Sets up the queues that are enabled and starts the device. */
int virtio_activate(struct virtio *v, struct err *e);
/* Ends the device at once: nothing is under way, or quiesce() waits for it. */
void virtio_stop_now(struct virtio *v);
/* Registers, queues and configuration space as at power-on. */
void virtio_clear(struct virtio *v);
void virtio_kick(struct virtio *v, unsigned q);

/* virtio_pci.c: makes the function and plugs it in. */
int virtio_pci_init(struct virtio *v, struct pci_bus *bus, unsigned slot, struct err *e);

#endif
