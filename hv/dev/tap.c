/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the descriptors of a tap (see tap.h). Must never leave an interface behind: what it makes is
 * not persistent. Must never change one that was there before, but for bringing it up.
 * Invariant: after tap_open() the tap is up and, if a bridge was named, on it; frames that arrive
 * wait in the kernel's queue until somebody reads.
 * Next in the flow: virtio_net_io.c.
 */
#include "hv/dev/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hv/dev/tap_link.h"

#define TAP_DEVICE  "/dev/net/tun"
#define TAP_PATTERN "watari%d" /* the kernel puts the first free number in */

_Static_assert(TAP_NAME_MAX == IFNAMSIZ, "a name of an interface");

static int tap_open_device(struct err *e)
{
	int fd = open(TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return err_set(e, -ENODEV,
			TAP_DEVICE " is missing on this host: load it with 'modprobe tun'");
	if (errno == EACCES || errno == EPERM)
		return err_set(e, -EPERM,
			"no permission to open " TAP_DEVICE
			": run as root or allow this user on it");
	return err_errno(e, "cannot open " TAP_DEVICE);
}

static int tap_attach_failed(const struct tap_config *c, const char *name, int r, struct err *e)
{
	switch (r) {
	case -EPERM:
		return err_set(e, -EPERM,
			"no permission to %s tap '%s': run as root (CAP_NET_ADMIN), or prepare it "
			"for this user: 'ip tuntap add dev NAME mode tap vnet_hdr user USER'",
			if_nametoindex(name) ? "use" : "make", name);
	case -EBUSY:
		return err_set(e, -EBUSY,
			"tap '%s' is used by another process: stop that one, or give this guest a "
			"tap of its own",
			name);
	case -EINVAL:
		if (c->queues > 1)
			return err_set(e, -EINVAL,
				"interface '%s' is no tap of %u queues: make it with 'ip tuntap add "
				"dev %s mode tap multi_queue vnet_hdr', or ask for one queue",
				name, c->queues, name);
		return err_set(e, -EINVAL,
			"interface '%s' is no tap: make one with 'ip tuntap add dev NAME mode tap'",
			name);
	default: return err_set(e, r, "cannot open tap '%s': %s", name, strerrordesc_np(-r));
	}
}

/* Ties @fd to interface @name with @flags; @name becomes what the kernel calls it. 0 or -errno. */
static int tap_set_iff(int fd, char name[TAP_NAME_MAX], int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags) };

	memcpy(r.ifr_name, name, TAP_NAME_MAX);
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		return -errno;
	memcpy(name, r.ifr_name, TAP_NAME_MAX);
	name[TAP_NAME_MAX - 1] = '\0';
	return 0;
}

/* Header size and byte order, on every queue. */
static int tap_set_header(int fd, struct err *e)
{
	int size = TAP_HDR_SIZE, one = 1;

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl(fd, TUNSETVNETLE, &one) < 0)
		return err_errno(e, "cannot set the header of frames");
	return 0;
}

static int tap_add_queue(struct tap *t, const struct tap_config *c, struct err *e)
{
	int fd = tap_open_device(e), r;

	if (fd < 0)
		return fd;
	t->fd[t->queues++] = fd; /* tap_close() takes it from here */
	r = tap_set_iff(fd, t->name, t->multi ? IFF_MULTI_QUEUE : 0);
	/* One queue of a tap that may have several is still one that has been prepared so. */
	if (r == -EINVAL && c->queues == 1 && !t->multi && !t->made) {
		t->multi = true;
		r = tap_set_iff(fd, t->name, IFF_MULTI_QUEUE);
	}
	return r ? tap_attach_failed(c, t->name, r, e) : tap_set_header(fd, e);
}

static unsigned tap_offload_bits(unsigned offload)
{
	return (offload & TAP_OFFLOAD_CSUM ? TUN_F_CSUM : 0u) |
	       (offload & TAP_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0u) |
	       (offload & TAP_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0u) |
	       (offload & TAP_OFFLOAD_ECN ? TUN_F_TSO_ECN : 0u);
}

int tap_offload(struct tap *t, unsigned offload, struct err *e)
{
	if (t->adopted)
		return 0;
	if (ioctl(t->fd[0], TUNSETOFFLOAD, (unsigned long)tap_offload_bits(offload)) < 0)
		return err_errno(e, "tap '%s' does not take the offloads 0x%x", t->name, offload);
	return 0;
}

/* What this kernel takes, tried from the most; none are on when this returns. */
static int tap_probe_offload(struct tap *t, struct err *e)
{
	static const unsigned tries[] = { TAP_OFFLOAD_ALL, TAP_OFFLOAD_CSUM };

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		if (tap_offload(t, tries[i], NULL) == 0) {
			t->offload = tries[i];
			break;
		}
	}
	return tap_offload(t, 0, e);
}

static int tap_place(struct tap *t, const struct tap_config *c, struct err *e)
{
	/* A bridge takes the lowest address of its ports for its own: it shall not take this. */
	const uint8_t mac[6] = { 0xfe, c->mac[1], c->mac[2], c->mac[3], c->mac[4], c->mac[5] };
	int r = 0;

	if (t->made)
		r = link_set_mac(t->name, mac, e);
	if (r == 0 && c->bridge[0])
		r = link_join(t->name, c->bridge, e);
	return r ? r : link_up(t->name, e);
}

static int tap_check(const struct tap_config *c, struct err *e)
{
	if (c->queues < 1 || c->queues > TAP_QUEUES_MAX)
		return err_set(e, -EINVAL, "%u queues are out of range: 1 to %d", c->queues,
			TAP_QUEUES_MAX);
	if (strlen(c->name) >= TAP_NAME_MAX || strchr(c->name, '%') || strchr(c->name, '/'))
		return err_set(e, -EINVAL, "'%.64s' is no name of a tap: at most %d characters",
			c->name, TAP_NAME_MAX - 1);
	if (!c->name[0] && !c->bridge[0])
		return err_set(e, -EINVAL,
			"neither a tap nor a bridge is named: give it one that exists, tap=NAME, or "
			"a bridge to put a new one on, bridge=NAME");
	if (c->name[0] && !c->bridge[0] && !if_nametoindex(c->name))
		return err_set(e, -ENODEV,
			"tap '%s' does not exist on this host: make it with 'ip tuntap add dev %s "
			"mode tap vnet_hdr', or name a bridge to put a new one on",
			c->name, c->name);
	/* Before anything is made. */
	if (c->bridge[0] && !if_nametoindex(c->bridge))
		return err_set(e, -ENODEV,
			"bridge '%s' does not exist on this host: make it with 'ip link add %s type "
			"bridge' and 'ip link set %s up'",
			c->bridge, c->bridge, c->bridge);
	return 0;
}

int tap_open(struct tap *t, const struct tap_config *c, struct err *e)
{
	int r;

	memset(t, 0, sizeof(*t));
	r = tap_check(c, e);
	if (r)
		return r;
	t->made = !c->name[0] || !if_nametoindex(c->name);
	t->multi = c->queues > 1;
	snprintf(t->name, sizeof(t->name), "%s", c->name[0] ? c->name : TAP_PATTERN);
	for (unsigned i = 0; r == 0 && i < c->queues; i++)
		r = tap_add_queue(t, c, e);
	if (r == 0)
		r = tap_probe_offload(t, e);
	if (r == 0)
		r = tap_place(t, c, e);
	t->used = t->queues;
	if (r)
		tap_close(t);
	return r;
}

void tap_adopt(struct tap *t, const int *fd, unsigned n, unsigned offload)
{
	*t = (struct tap){ .adopted = true, .queues = n, .used = n, .offload = offload };
	memcpy(t->fd, fd, n * sizeof(fd[0]));
}

void tap_close(struct tap *t)
{
	for (unsigned i = 0; i < t->queues; i++)
		close(t->fd[i]);
	t->queues = t->used = 0;
}

int tap_use_queues(struct tap *t, unsigned queues, struct err *e)
{
	if (queues < 1 || queues > t->queues)
		return err_set(
			e, -EINVAL, "tap '%s' has %u queues, not %u", t->name, t->queues, queues);
	for (; t->multi && t->used != queues;) {
		bool more = t->used < queues;
		unsigned i = more ? t->used : t->used - 1;
		struct ifreq r = { .ifr_flags = more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		if (ioctl(t->fd[i], TUNSETQUEUE, &r) < 0)
			return err_errno(e, "tap '%s': cannot %s queue %u", t->name,
				more ? "attach" : "detach", i);
		t->used += more ? 1u : -1u;
	}
	return 0;
}

long tap_read(const struct tap *t, unsigned queue, void *buf, size_t size)
{
	ssize_t n;

	do {
		n = read(t->fd[queue], buf, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int tap_write(const struct tap *t, unsigned queue, const struct iovec *iov, int n)
{
	ssize_t r;

	do {
		r = writev(t->fd[queue], iov, n);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

unsigned tap_drain(const struct tap *t)
{
	uint8_t head[64]; /* the rest of a frame is cut off and gone */
	unsigned n = 0;

	for (unsigned i = 0; i < t->used; i++) {
		/* Bounded: more may come as fast as they are thrown away. */
		for (unsigned k = 0; k < 4096 && tap_read(t, i, head, sizeof(head)) > 0; k++)
			n++;
	}
	return n;
}
