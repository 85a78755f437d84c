/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is asked of the kernel about network interfaces (see tap_link.h). Keeps nothing: every
 * call opens its own socket.
 * Next in the flow: tap.c.
 */
#include "hv/dev/tap_link.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_ANSWER 32768 /* bytes: what the kernel tells of one interface, with room */

/* An ioctl on interface @name. 0 or -errno, without a message. */
static int link_ioctl(unsigned long request, struct ifreq *r, const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	if (ioctl(fd, request, r) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* The index in attribute IFLA_MASTER of the one message in @p, 0 if there is none. */
static int link_find_master(const void *p, size_t n, unsigned *master)
{
	const struct nlmsghdr *h = p;
	const struct rtattr *a;
	size_t left;

	*master = 0;
	if (!NLMSG_OK(h, n) || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return -EPROTO;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	left = h->nlmsg_len - NLMSG_LENGTH(sizeof(struct ifinfomsg));
	for (a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_MASTER && RTA_PAYLOAD(a) == sizeof(*master))
			memcpy(master, RTA_DATA(a), sizeof(*master));
	}
	return 0;
}

static int link_ask(unsigned index, unsigned *master)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = {
		.h = { .nlmsg_len = sizeof(ask),
			.nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST },
		.i = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index },
	};
	_Alignas(struct nlmsghdr) uint8_t answer[LINK_ANSWER];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), rc;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, &ask, sizeof(ask), 0) < 0 || (n = recv(fd, answer, sizeof(answer), 0)) < 0)
		rc = -errno;
	else
		rc = link_find_master(answer, (size_t)n, master);
	close(fd);
	return rc;
}

int link_master(const char *name, unsigned *master, struct err *e)
{
	unsigned index = if_nametoindex(name);
	int r = index ? link_ask(index, master) : -ENODEV;

	if (r)
		return err_set(e, r, "cannot learn which bridge interface '%s' is on: %s", name,
			strerrordesc_np(-r));
	return 0;
}

static int link_join_failed(const char *name, const char *bridge, int r, struct err *e)
{
	if (r == -EOPNOTSUPP || r == -EINVAL)
		return err_set(e, -EINVAL,
			"interface '%s' is no bridge; name one that 'ip link show type bridge' lists",
			bridge);
	if (r == -EPERM)
		return err_set(e, -EPERM,
			"no permission to put tap '%s' on bridge '%s': run as root (CAP_NET_ADMIN), "
			"or prepare the tap and name it without a bridge",
			name, bridge);
	return err_set(
		e, r, "cannot put tap '%s' on bridge '%s': %s", name, bridge, strerrordesc_np(-r));
}

int link_join(const char *name, const char *bridge, struct err *e)
{
	unsigned want = if_nametoindex(bridge), have = 0;
	struct ifreq r = { 0 };
	char other[IF_NAMESIZE];
	int rc;

	if (!want)
		return err_set(e, -ENODEV,
			"bridge '%s' does not exist on this host: make it with 'ip link add %s type "
			"bridge' and 'ip link set %s up'",
			bridge, bridge, bridge);
	rc = link_master(name, &have, e);
	if (rc || have == want)
		return rc;
	if (have)
		return err_set(e, -EBUSY,
			"tap '%s' is on '%s', not on bridge '%s': take it off with 'ip link set %s "
			"nomaster', or name the right bridge",
			name, if_indextoname(have, other) ? other : "another", bridge, name);
	r.ifr_ifindex = (int)if_nametoindex(name);
	rc = link_ioctl(SIOCBRADDIF, &r, bridge);
	return rc ? link_join_failed(name, bridge, rc, e) : 0;
}

int link_up(const char *name, struct err *e)
{
	struct ifreq r = { 0 };
	int rc = link_ioctl(SIOCGIFFLAGS, &r, name);

	if (rc == 0 && (r.ifr_flags & IFF_UP))
		return 0;
	r.ifr_flags |= IFF_UP;
	if (rc == 0)
		rc = link_ioctl(SIOCSIFFLAGS, &r, name);
	if (rc)
		return err_set(e, rc, "cannot bring tap '%s' up: %s", name, strerrordesc_np(-rc));
	return 0;
}

int link_set_mac(const char *name, const uint8_t mac[6], struct err *e)
{
	struct ifreq r = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	int rc;

	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	rc = link_ioctl(SIOCSIFHWADDR, &r, name);
	if (rc)
		return err_set(
			e, rc, "cannot give tap '%s' its address: %s", name, strerrordesc_np(-rc));
	return 0;
}
