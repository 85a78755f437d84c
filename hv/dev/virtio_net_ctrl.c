/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the control queue of the network card (virtio 1.2, 5.1.6.5): the table commands[]. What is
 * not in it, or has the wrong length or value, is answered with an error and changes nothing; only
 * a request without room for the answer breaks the device.
 * Next in the flow: virtio_net_io.c.
 */
#include <errno.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/dev/virtio_net_parts.h"

#define CTRL_OK   0u
#define CTRL_ERR  1u
#define CTRL_HEAD 2u  /* class, command */
#define CTRL_DATA 16u /* bytes of data: more than any command here has */

int net_ctrl_queue(const struct virtio_net *n)
{
	if (!(n->features & NET_F_CTRL_VQ))
		return -1;
	/* 5.1.2: behind all pairs that there could be, or behind the one. */
	return n->features & NET_F_MQ ? (int)(2 * n->tap.queues) : 2;
}

static uint64_t ctrl_get(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

int net_set_offloads(struct virtio_net *n, uint64_t offloads, struct err *e)
{
	int r = tap_offload(&n->tap,
		(offloads & NET_F_GUEST_CSUM ? TAP_OFFLOAD_CSUM : 0u) |
			(offloads & NET_F_GUEST_TSO4 ? TAP_OFFLOAD_TSO4 : 0u) |
			(offloads & NET_F_GUEST_TSO6 ? TAP_OFFLOAD_TSO6 : 0u) |
			(offloads & NET_F_GUEST_ECN ? TAP_OFFLOAD_ECN : 0u),
		e);

	if (r == 0)
		n->offloads = offloads;
	return r;
}

int net_set_pairs(struct virtio_net *n, unsigned pairs, struct err *e)
{
	int r = tap_use_queues(&n->tap, pairs, e);

	if (r)
		return r;
	n->pairs = pairs;
	return net_watch(n, e);
}

/* @data has the length that the table says. 0, or negative errno: refused. */
static int ctrl_mac(struct virtio_net *n, const uint8_t *data, struct err *e)
{
	if (data[0] & 1)
		return err_set(e, -EINVAL, "the address of a group");
	memcpy(n->mac, data, sizeof(n->mac));
	virtio_config_set(n->v, NET_CONFIG_MAC, n->mac, sizeof(n->mac));
	return 0;
}

static int ctrl_announced(struct virtio_net *n, const uint8_t *data, struct err *e)
{
	(void)data;
	(void)e;
	n->status &= (uint16_t)~NET_S_ANNOUNCE;
	net_set_status(n);
	return 0;
}

static int ctrl_pairs(struct virtio_net *n, const uint8_t *data, struct err *e)
{
	unsigned pairs = (unsigned)ctrl_get(data, 2);

	if (pairs < 1 || pairs > n->tap.queues)
		return err_set(e, -EINVAL, "%u pairs of queues", pairs);
	return net_set_pairs(n, pairs, e);
}

static int ctrl_offloads(struct virtio_net *n, const uint8_t *data, struct err *e)
{
	uint64_t want = ctrl_get(data, 8);

	if (want & ~(n->features & NET_F_GUEST_OFFLOADS))
		return err_set(e, -EINVAL, "offloads that were not agreed on");
	/* All of the others rest on it (5.1.3.1). */
	if (want && !(want & NET_F_GUEST_CSUM))
		return err_set(e, -EINVAL, "segments without checksums");
	return net_set_offloads(n, want, e);
}

static const struct {
	uint8_t class, command;
	uint8_t len; /* of its data */
	uint64_t feature;
	int (*run)(struct virtio_net *n, const uint8_t *data, struct err *e);
} commands[] = {
	{ .class = 1, .command = 1, .len = 6, .feature = NET_F_CTRL_MAC_ADDR, .run = ctrl_mac },
	{ .class = 3,
		.command = 0,
		.len = 0,
		.feature = NET_F_GUEST_ANNOUNCE,
		.run = ctrl_announced },
	{ .class = 4, .command = 0, .len = 2, .feature = NET_F_MQ, .run = ctrl_pairs },
	{ .class = 5,
		.command = 0,
		.len = 8,
		.feature = NET_F_CTRL_GUEST_OFFLOADS,
		.run = ctrl_offloads },
};

static uint8_t ctrl_run(struct virtio_net *n, const struct virtq_chain *c)
{
	uint8_t head[CTRL_HEAD], data[CTRL_DATA];
	struct err e = { 0 };

	if (virtq_chain_read(c, 0, head, sizeof(head)) < sizeof(head))
		return CTRL_ERR;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].class != head[0] || commands[i].command != head[1])
			continue;
		if (!(n->features & commands[i].feature) ||
			c->out_len != CTRL_HEAD + commands[i].len)
			return CTRL_ERR;
		virtq_chain_read(c, CTRL_HEAD, data, commands[i].len);
		if (commands[i].run(n, data, &e) == 0)
			return CTRL_OK;
		log_debug("network card: refused to the guest: %s", e.msg);
		return CTRL_ERR;
	}
	return CTRL_ERR;
}

void net_control(struct virtio_net *n)
{
	struct virtq *q = virtio_queue(n->v, (unsigned)net_ctrl_queue(n));

	while (virtq_pop(q, &n->chain) > 0) {
		uint8_t ack;

		if (n->chain.in_len < 1) {
			virtio_needs_reset(n->v, "a control request has no room for its answer");
			return;
		}
		ack = ctrl_run(n, &n->chain);
		virtq_chain_write(&n->chain, 0, &ack, 1);
		virtq_push(q, &n->chain, 1);
	}
	virtq_signal(q);
}
