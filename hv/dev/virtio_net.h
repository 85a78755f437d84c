/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network card for the guest (virtio 1.2, 5.1) in front of a tap: checksum and segmentation
 * offloads as the tap has them, mergeable buffers, several pairs of queues, control queue, and the
 * announcements after a move. One worker serves all queues.
 * Frames that come while the device is held wait in the tap's queue; one that was read and had no
 * room at the guest is part of the saved state. So a freeze loses none.
 * LEFT OUT: receive filters (the bridge filters), VLAN filters, RSS, MTU.
 * Next in the flow: virtio_net.c (the device), virtio_net_io.c (frames), virtio_net_ctrl.c
 * (control).
 */
#ifndef WATARI_DEV_VIRTIO_NET_H
#define WATARI_DEV_VIRTIO_NET_H

#include "hv/dev/tap.h"
#include "hv/dev/virtio.h"

extern const struct dev_ops virtio_net_dev_ops; /* section "virtio-net" */

/*
 * A card with address @mac and as many pairs of queues as @tap has, which belongs to the device
 * from here on, or is closed if this fails. 0 or what virtio_new() says.
 */
int virtio_net_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct tap *tap, const uint8_t mac[6], struct err *e);

#endif
