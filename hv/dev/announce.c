/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the bytes of announcements (see announce.h). Sends nothing.
 * Next in the flow: virtio_net.c.
 */
#include "hv/dev/announce.h"

#include <stdbool.h>
#include <string.h>

#define ETH_TYPE_ARP     0x0806u
#define ETH_TYPE_RARP    0x8035u
#define ARP_REQUEST      1u /* RFC 826 */
#define ARP_RARP_REQUEST 3u /* RFC 903: "request reverse" */

static uint8_t *announce_u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* Both protocols have the layout of RFC 826; what is not set stays zero, padding and addresses. */
static void announce_build(uint8_t *p, const uint8_t *mac, unsigned type, unsigned op, bool target)
{
	memset(p, 0, ANNOUNCE_SIZE);
	memset(p, 0xff, 6);
	memcpy(p + 6, mac, 6);
	p = announce_u16(p + 12, type);
	p = announce_u16(p, 1);      /* hardware: Ethernet */
	p = announce_u16(p, 0x0800); /* protocol: IPv4 */
	*p++ = 6;
	*p++ = 4;
	p = announce_u16(p, op);
	memcpy(p, mac, 6); /* sender, then its IPv4 address: zero */
	if (target)
		memcpy(p + 10, mac, 6);
}

void announce_rarp(uint8_t frame[ANNOUNCE_SIZE], const uint8_t mac[6])
{
	announce_build(frame, mac, ETH_TYPE_RARP, ARP_RARP_REQUEST, true);
}

/* The target's hardware address is what a request asks for: zero. */
void announce_arp(uint8_t frame[ANNOUNCE_SIZE], const uint8_t mac[6])
{
	announce_build(frame, mac, ETH_TYPE_ARP, ARP_REQUEST, false);
}
