/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames by which a network learns that a guest is now reached another way: broadcasts from its
 * MAC address, which every switch on the path notes as it passes them on. They claim no IP address:
 * which ones the guest has, only the guest knows, and it says so itself when asked to
 * (docs/decisions/0054-networks.md).
 * Next in the flow: virtio_net.c.
 */
#ifndef WATARI_DEV_ANNOUNCE_H
#define WATARI_DEV_ANNOUNCE_H

#include <stdint.h>

#define ANNOUNCE_SIZE 60 /* bytes: the shortest Ethernet frame, its checksum left to the card */

/*
 * "Request reverse" of RFC 903 by @mac for itself: what a station without an IP address sends.
 * Ethernet type 0x8035.
 */
void announce_rarp(uint8_t frame[ANNOUNCE_SIZE], const uint8_t mac[6]);
/*
 * An ARP request (RFC 826) in the form of a gratuitous one, sender and target the same, with the
 * address 0.0.0.0, by which it changes no ARP cache (RFC 5227, 1.1). For switches that look at ARP
 * only. Ethernet type 0x0806.
 */
void announce_arp(uint8_t frame[ANNOUNCE_SIZE], const uint8_t mac[6]);

#endif
