/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio entropy device (virtio 1.2, 5.4): what the guest asks for is filled with random bytes
 * of the host's kernel. It has no state of its own.
 * Next in the flow: hv/dev/virtio.h.
 */
#ifndef WATARI_DEV_VIRTIO_RNG_H
#define WATARI_DEV_VIRTIO_RNG_H

#include "hv/dev/virtio.h"

extern const struct dev_ops virtio_rng_dev_ops; /* section "virtio-rng"; self is the virtio */

/* Plugs it in at @slot (0: the next). As virtio_new(). */
int virtio_rng_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	struct err *e);

#endif
