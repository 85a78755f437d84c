/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taps and bridges of a network namespace of our own: made, found, shared, refused, and gone again.
 * Where no namespace may be made (not root), every test but those of mere words is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/tap.h"
#include "hv/dev/tap_link.h"

#define FRAME_LEN (TAP_HDR_SIZE + 64)
#define ETH_TEST  0x88b5 /* IEEE 802: for local experiments; the kernel itself sends none */

static const struct tap_config on_br0 = {
	.name = "", .bridge = "br0", .queues = 1, .mac = { 2, 0, 0, 0, 0, 1 }
};

static void make_bridge(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCBRADDBR, name), 0);
	close(fd);
	assert_int_equal(link_up(name, NULL), 0);
}

/* As `ip tuntap add dev NAME mode tap` does. */
static void make_tap(const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &r), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

static unsigned flags_of(const char *name)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	close(fd);
	return (unsigned)r.ifr_flags;
}

/* Each test has a namespace of its own, with br0 in it; *state is NULL where there can be none. */
static int enter(void **state)
{
	static int yes;

	*state = NULL;
	if (access("/dev/net/tun", R_OK | W_OK) || unshare(CLONE_NEWNET))
		return 0;
	make_bridge("br0");
	*state = &yes;
	return 0;
}

#define need_namespace(state)                                                                      \
	do {                                                                                       \
		if (!*(state)) {                                                                   \
			print_message(                                                             \
				"skipped: no /dev/net/tun or no network namespace (root)\n");      \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static void refused(const struct tap_config *c, int code, const char *words)
{
	struct err e = { 0 };
	struct tap t;

	assert_int_equal(tap_open(&t, c, &e), code);
	if (!strstr(e.msg, words))
		fail_msg("'%s' is not in '%s'", words, e.msg);
	assert_int_equal(t.queues, 0);
}

static void a_tap_is_made_on_its_bridge_and_gone_at_the_end(void **state)
{
	struct tap_config c = on_br0;
	unsigned master = 0;
	struct err e = { 0 };
	struct tap t;

	need_namespace(state);
	c.name = "guest0";
	assert_int_equal(tap_open(&t, &c, &e), 0);
	assert_true(t.made);
	assert_string_equal(t.name, "guest0");
	assert_int_equal(link_master("guest0", &master, &e), 0);
	assert_int_equal(master, if_nametoindex("br0"));
	assert_true(flags_of("guest0") & IFF_UP);
	assert_int_equal(t.offload, TAP_OFFLOAD_ALL);
	tap_close(&t);
	assert_int_equal(if_nametoindex("guest0"), 0);
}

static void without_a_name_the_kernel_picks_one(void **state)
{
	struct err e = { 0 };
	struct tap a, b;

	need_namespace(state);
	assert_int_equal(tap_open(&a, &on_br0, &e), 0);
	assert_int_equal(tap_open(&b, &on_br0, &e), 0);
	assert_string_equal(a.name, "watari0");
	assert_string_equal(b.name, "watari1");
	tap_close(&a);
	tap_close(&b);
}

/* A bridge takes the lowest address of its ports: the guest's tap must not change it. */
static void a_tap_of_ours_does_not_change_the_address_of_the_bridge(void **state)
{
	struct ifreq r = { 0 };
	struct err e = { 0 };
	struct tap t;
	int fd;

	need_namespace(state);
	assert_int_equal(tap_open(&t, &on_br0, &e), 0);
	strcpy(r.ifr_name, t.name);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &r), 0);
	assert_memory_equal(r.ifr_hwaddr.sa_data, ((uint8_t[]){ 0xfe, 0, 0, 0, 0, 1 }), 6);
	close(fd);
	tap_close(&t);
}

static void a_tap_that_was_there_stays_as_it_was(void **state)
{
	struct tap_config c = { .name = "mine", .bridge = "", .queues = 1 };
	unsigned master = 1;
	struct err e = { 0 };
	struct tap t;

	need_namespace(state);
	make_tap("mine", 0);
	assert_int_equal(tap_open(&t, &c, &e), 0);
	assert_false(t.made);
	refused(&c, -EBUSY, "used by another process");
	tap_close(&t);
	assert_int_equal(link_master("mine", &master, &e), 0);
	assert_int_equal(master, 0);
}

static void a_tap_of_many_queues_serves_one_too(void **state)
{
	struct tap_config c = { .name = "mine", .bridge = "br0", .queues = 1 };
	struct err e = { 0 };
	struct tap t;

	need_namespace(state);
	make_tap("mine", IFF_MULTI_QUEUE);
	assert_int_equal(tap_open(&t, &c, &e), 0);
	tap_close(&t);
	c.queues = 2;
	assert_int_equal(tap_open(&t, &c, &e), 0);
	tap_close(&t);
}

static void what_cannot_be_had_is_named_with_the_way_out(void **state)
{
	struct tap_config c = on_br0;

	need_namespace(state);
	c.bridge = "br9";
	refused(&c, -ENODEV, "bridge 'br9' does not exist");
	c.bridge = "lo";
	refused(&c, -EINVAL, "'lo' is no bridge");
	c = (struct tap_config){ .name = "tap9", .bridge = "", .queues = 1 };
	refused(&c, -ENODEV, "ip tuntap add dev tap9");
	c.name = "lo";
	refused(&c, -EINVAL, "'lo' is no tap");
	make_tap("one", 0);
	c.name = "one";
	c.queues = 2;
	refused(&c, -EINVAL, "no tap of 2 queues");
	make_bridge("br1");
	assert_int_equal(link_join("one", "br1", NULL), 0);
	c = on_br0;
	c.name = "one";
	refused(&c, -EBUSY, "is on 'br1', not on bridge 'br0'");
	/* A refusal leaves nothing behind. */
	assert_int_equal(if_nametoindex("watari0"), 0);
}

static void who_may_not_is_told_so(void **state)
{
	struct err e = { 0 };
	struct tap t;
	int status;
	pid_t pid;

	need_namespace(state);
	pid = fork();
	if (pid == 0) {
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(tap_open(&t, &on_br0, &e) == -EPERM && strstr(e.msg, "no permission") &&
					strstr(e.msg, "run as root")
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void nonsense_is_refused_before_the_kernel_is_asked(void **state)
{
	struct tap_config c = { .name = "", .bridge = "", .queues = 1 };

	(void)state;
	refused(&c, -EINVAL, "neither a tap nor a bridge");
	c = (struct tap_config){ .name = "tap%d", .bridge = "", .queues = 1 };
	refused(&c, -EINVAL, "'tap%d'");
	c.name = "a-name-of-16-byte";
	refused(&c, -EINVAL, "at most 15");
	c = (struct tap_config){ .name = "tap0", .bridge = "", .queues = TAP_QUEUES_MAX + 1 };
	refused(&c, -EINVAL, "17 queues");
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static void build(uint8_t frame[FRAME_LEN], uint8_t mark)
{
	memset(frame, 0, FRAME_LEN);
	memset(frame + TAP_HDR_SIZE, 0xff, 6);
	memcpy(frame + TAP_HDR_SIZE + 6, (uint8_t[]){ 2, 0, 0, 0, 0, 9 }, 6);
	frame[TAP_HDR_SIZE + 12] = ETH_TEST >> 8;
	frame[TAP_HDR_SIZE + 13] = ETH_TEST & 0xff;
	memset(frame + TAP_HDR_SIZE + 14, mark, FRAME_LEN - TAP_HDR_SIZE - 14);
}

static void put(struct tap *t, const uint8_t frame[FRAME_LEN])
{
	const struct iovec iov[] = { { (void *)frame, 20 },
		{ (void *)(frame + 20), FRAME_LEN - 20 } };

	assert_int_equal(tap_write(t, 0, iov, 2), 0);
}

/* The next frame of a test, on any queue; others (the kernel's own) are passed over. */
static long get(struct tap *t, uint8_t *buf, unsigned *queue)
{
	struct pollfd p[TAP_QUEUES_MAX];

	for (;;) {
		for (unsigned i = 0; i < t->used; i++)
			p[i] = (struct pollfd){ .fd = t->fd[i], .events = POLLIN };
		if (poll(p, t->used, 2000) <= 0)
			return -ETIME;
		for (unsigned i = 0; i < t->used; i++) {
			long n = p[i].revents ? tap_read(t, i, buf, TAP_FRAME_MAX) : 0;

			*queue = i;
			if (n >= (long)FRAME_LEN && buf[TAP_HDR_SIZE + 12] == ETH_TEST >> 8 &&
				buf[TAP_HDR_SIZE + 13] == (ETH_TEST & 0xff))
				return n;
		}
	}
}

static void frames_cross_the_bridge_and_wait_until_they_are_read(void **state)
{
	uint8_t frame[FRAME_LEN];
	static uint8_t got[TAP_FRAME_MAX];
	struct err e = { 0 };
	struct tap a, b;
	unsigned q;

	need_namespace(state);
	assert_int_equal(tap_open(&a, &on_br0, &e), 0);
	assert_int_equal(tap_open(&b, &on_br0, &e), 0);
	for (uint8_t i = 1; i <= 3; i++) {
		build(frame, i);
		put(&a, frame);
	}
	for (uint8_t i = 1; i <= 3; i++) {
		build(frame, i);
		assert_int_equal(get(&b, got, &q), FRAME_LEN);
		assert_memory_equal(
			got + TAP_HDR_SIZE, frame + TAP_HDR_SIZE, FRAME_LEN - TAP_HDR_SIZE);
	}
	put(&a, frame);
	put(&a, frame);
	assert_true(tap_drain(&b) >= 2);
	assert_int_equal(tap_read(&b, 0, got, sizeof(got)), -EAGAIN);
	tap_close(&a);
	tap_close(&b);
}

static void a_header_that_makes_no_sense_is_an_error(void **state)
{
	uint8_t frame[FRAME_LEN];
	struct err e = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct tap t;

	need_namespace(state);
	assert_int_equal(tap_open(&t, &on_br0, &e), 0);
	build(frame, 1);
	frame[1] = 0x7f; /* a kind of segment that there is not */
	assert_int_equal(tap_write(&t, 0, &iov, 1), -EINVAL);
	build(frame, 1);
	frame[0] = 1; /* checksum to be finished at a place beyond the frame */
	frame[6] = frame[7] = frame[8] = frame[9] = 0xff;
	assert_int_equal(tap_write(&t, 0, &iov, 1), -EINVAL);
	iov.iov_len = 5;
	assert_int_equal(tap_write(&t, 0, &iov, 1), -EINVAL);
	tap_close(&t);
}

static void frames_come_on_the_queues_in_use_only(void **state)
{
	struct tap_config c = on_br0;
	uint8_t frame[FRAME_LEN];
	static uint8_t got[TAP_FRAME_MAX];
	struct err e = { 0 };
	struct tap a, b;
	unsigned q;

	need_namespace(state);
	c.queues = 4;
	assert_int_equal(tap_open(&a, &on_br0, &e), 0);
	assert_int_equal(tap_open(&b, &c, &e), 0);
	assert_int_equal(tap_use_queues(&b, 1, &e), 0);
	for (uint8_t i = 0; i < 8; i++) {
		build(frame, i);
		frame[TAP_HDR_SIZE + 11] = i; /* another flow */
		put(&a, frame);
		assert_int_equal(get(&b, got, &q), FRAME_LEN);
		assert_int_equal(q, 0);
	}
	assert_int_equal(tap_use_queues(&b, 4, &e), 0);
	for (uint8_t i = 0; i < 8; i++) {
		build(frame, i);
		put(&a, frame);
		assert_int_equal(get(&b, got, &q), FRAME_LEN);
	}
	assert_int_equal(tap_use_queues(&b, 5, &e), -EINVAL);
	assert_int_equal(tap_offload(&b, TAP_OFFLOAD_ALL, &e), 0);
	assert_int_equal(tap_offload(&b, TAP_OFFLOAD_TSO4, &e), -EINVAL); /* rests on checksums */
	tap_close(&a);
	tap_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_tap_is_made_on_its_bridge_and_gone_at_the_end, enter),
		cmocka_unit_test_setup(without_a_name_the_kernel_picks_one, enter),
		cmocka_unit_test_setup(
			a_tap_of_ours_does_not_change_the_address_of_the_bridge, enter),
		cmocka_unit_test_setup(a_tap_that_was_there_stays_as_it_was, enter),
		cmocka_unit_test_setup(a_tap_of_many_queues_serves_one_too, enter),
		cmocka_unit_test_setup(what_cannot_be_had_is_named_with_the_way_out, enter),
		cmocka_unit_test_setup(who_may_not_is_told_so, enter),
		cmocka_unit_test(nonsense_is_refused_before_the_kernel_is_asked),
		cmocka_unit_test_setup(frames_cross_the_bridge_and_wait_until_they_are_read, enter),
		cmocka_unit_test_setup(a_header_that_makes_no_sense_is_an_error, enter),
		cmocka_unit_test_setup(frames_come_on_the_queues_in_use_only, enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
