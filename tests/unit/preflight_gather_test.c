/* SPDX-License-Identifier: Apache-2.0 */
/* What a host says of itself before a move: its disks as two hosts see them, and the way between
 * two sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/preflight/gather.h"

struct rig {
	char dir[64], here[96], there[96]; /* a folder, and another, each with an image */
	struct pf_facts src, dst;
};

static void rig_image(const char *dir)
{
	char path[128];
	int fd;

	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/image", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
}

static int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	strcpy(r->dir, "/var/tmp/watari-check-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->here, sizeof(r->here), "%s/here", r->dir);
	snprintf(r->there, sizeof(r->there), "%s/there", r->dir);
	rig_image(r->here);
	rig_image(r->there);
	*state = r;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *r = *state;
	const char *const dirs[] = { r->here, r->there };
	char path[128];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/image", dirs[i]);
		unlink(path);
		assert_int_equal(rmdir(dirs[i]), 0); /* and nothing else is in it */
	}
	rmdir(r->dir);
	free(r);
	return 0;
}

static void rig_disk(struct pf_facts *f, const char *dir, bool readonly)
{
	memset(f, 0, sizeof(*f));
	f->ndisks = 1;
	strcpy(f->disk[0].name, "root");
	snprintf(f->disk[0].path, sizeof(f->disk[0].path), "%s/image", dir);
	f->disk[0].readonly = readonly;
}

static void one_image_seen_by_both_is_proven_by_the_number_and_the_lock(void **state)
{
	struct rig *r = *state;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct pf_marks m;
	int fd;

	rig_disk(&r->src, r->here, false);
	rig_disk(&r->dst, r->here, false);
	fd = open(r->src.disk[0].path, O_RDWR); /* the guest */
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	pf_disks_mark(&r->src, &m);
	assert_int_equal(r->src.disk[0].held, PF_YES);
	assert_true(r->src.disk[0].nonce);
	assert_int_equal(r->src.disk[0].lock, PF_LOCK_HELD);
	pf_disks_look(&r->dst);
	assert_int_equal(r->dst.disk[0].nonce, r->src.disk[0].nonce);
	assert_int_equal(r->dst.disk[0].lock, PF_LOCK_HELD);
	assert_int_equal(r->dst.disk[0].inode, r->src.disk[0].inode);
	assert_int_equal(r->dst.disk[0].size, 1 << 20);
	assert_int_equal(r->dst.disk[0].held, PF_YES);
	close(fd);
	pf_disks_unmark(&r->src, &m);
	/* a number is good once */
	pf_disks_look(&r->dst);
	rig_disk(&r->dst, r->here, false);
	pf_disks_look(&r->dst);
	assert_int_equal(r->dst.disk[0].nonce, 0);
	assert_int_equal(r->dst.disk[0].held, PF_NO);
}

static void an_image_of_that_name_elsewhere_has_no_number(void **state)
{
	struct rig *r = *state;
	struct pf_marks m;

	rig_disk(&r->src, r->here, false);
	rig_disk(&r->dst, r->there, false);
	pf_disks_mark(&r->src, &m);
	pf_disks_look(&r->dst);
	assert_string_equal(r->dst.disk[0].error, "");
	assert_int_equal(r->dst.disk[0].size, r->src.disk[0].size);
	assert_int_equal(r->dst.disk[0].nonce, 0);
	assert_int_equal(r->dst.disk[0].lock, PF_LOCK_UNKNOWN);
	pf_disks_unmark(&r->src, &m);
}

static void a_lock_that_does_not_reach_is_taken_and_given_back(void **state)
{
	struct rig *r = *state;
	char path[128];
	int fd;

	/* as a filesystem shows it that carries bytes but no locks */
	snprintf(path, sizeof(path), "%s/image" PF_MARK, r->here);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "00000000000000ff\n", 17), 17);
	close(fd);
	rig_disk(&r->dst, r->here, false);
	pf_disks_look(&r->dst);
	assert_int_equal(r->dst.disk[0].nonce, 0xff);
	assert_int_equal(r->dst.disk[0].lock, PF_LOCK_FREE);
	unlink(path);
}

static void an_image_that_is_not_there_says_why(void **state)
{
	struct rig *r = *state;
	struct pf_marks m;

	rig_disk(&r->dst, "/nowhere", false);
	pf_disks_look(&r->dst);
	assert_string_equal(r->dst.disk[0].error, "No such file or directory");
	pf_disks_mark(&r->dst, &m);
	assert_int_equal(m.fd[0], -1);
	pf_disks_unmark(&r->dst, &m);
	rig_disk(&r->dst, r->here, false);
	strcpy(r->dst.disk[0].path, r->dir);
	pf_disks_look(&r->dst);
	assert_string_equal(r->dst.disk[0].error, "it is neither a file nor a block device");
}

static void a_read_only_image_is_compared_by_its_bytes(void **state)
{
	struct rig *r = *state;
	struct pf_marks m;
	char path[128];
	int fd;

	rig_disk(&r->src, r->here, true);
	rig_disk(&r->dst, r->there, true);
	pf_disks_mark(&r->src, &m);
	assert_int_equal(m.fd[0], -1);
	pf_disks_look(&r->dst);
	assert_true(r->src.disk[0].digest);
	assert_int_equal(r->dst.disk[0].digest, r->src.disk[0].digest);
	snprintf(path, sizeof(path), "%s/image", r->there);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "x", 1, (1 << 20) - 1), 1);
	close(fd);
	rig_disk(&r->dst, r->there, true);
	pf_disks_look(&r->dst);
	assert_true(r->dst.disk[0].digest != r->src.disk[0].digest);
}

/* Both ends of a TCP connection over the loopback device. */
static void sockets(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof(a)), 0);
	fd[1] = accept(l, NULL, NULL);
	close(l);
}

static void the_way_is_known_and_a_port_is_tried(void **state)
{
	struct pf_link here = { .device = "" }, there = { .device = "" };
	int fd[2], port;

	(void)state;
	sockets(fd);
	pf_gather_link(&here, fd[0]);
	assert_int_equal(here.here, PF_YES);
	assert_string_equal(here.device, "lo");
	assert_true(here.mtu > 0);
	port = pf_port_open(&there, fd[1]);
	assert_true(port >= 0 && there.port);
	pf_port_try(&here, fd[0], there.port, 1000);
	assert_int_equal(here.reached, PF_YES);
	close(port);
	pf_port_try(&here, fd[0], there.port, 1000);
	assert_int_equal(here.reached, PF_NO);
	assert_string_equal(here.reach_error, "Connection refused");
	/* no port, no try */
	here.reached = PF_UNKNOWN;
	pf_port_try(&here, fd[0], 0, 1000);
	assert_int_equal(here.reached, PF_UNKNOWN);
	close(fd[0]);
	close(fd[1]);
}

static void a_socket_that_is_no_network_s_leaves_all_unknown(void **state)
{
	struct pf_link l = { .device = "" };
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	pf_gather_link(&l, fd[0]);
	assert_int_equal(l.here, PF_UNKNOWN);
	assert_int_equal(pf_port_open(&l, fd[0]), -1);
	pf_port_try(&l, fd[0], 1, 10);
	assert_int_equal(l.reached, PF_UNKNOWN);
	close(fd[0]);
	close(fd[1]);
}

static void the_host_s_figures_are_read(void **state)
{
	struct rig *r = *state;
	char sub[128];
	const char *const dirs[] = { r->dir, sub, NULL };
	const char *const gone[] = { "/nowhere/at/all", NULL };

	snprintf(sub, sizeof(sub), "%s/still to be made", r->dir);
	memset(&r->src, 0, sizeof(r->src));
	r->src.nnets = 1;
	strcpy(r->src.net[0].bridge, "no-such-bridge");
	pf_gather_host(&r->src, dirs);
	assert_true(r->src.available > 1 << 20);
	assert_int_equal(r->src.memlock_known, PF_YES);
	assert_int_equal(r->src.space_known, PF_YES);
	assert_true(r->src.space > 0);
	pf_gather_host(&r->src, gone);
	assert_int_equal(r->src.space_known, PF_UNKNOWN);
	strcpy(r->src.kernel, "/nowhere");
	pf_gather_target(&r->src);
	assert_int_equal(r->src.kernel_there, PF_NO);
	assert_int_equal(r->src.net[0].have_bridge, PF_NO);
	/* with a usable /dev/kvm a table, else the reason why not */
	assert_true((r->src.cpuid_len > 0) != (r->src.kvm_error[0] != '\0'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_image_seen_by_both_is_proven_by_the_number_and_the_lock, rig_setup,
			rig_teardown),
		cmocka_unit_test_setup_teardown(
			an_image_of_that_name_elsewhere_has_no_number, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_lock_that_does_not_reach_is_taken_and_given_back,
			rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			an_image_that_is_not_there_says_why, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			a_read_only_image_is_compared_by_its_bytes, rig_setup, rig_teardown),
		cmocka_unit_test(the_way_is_known_and_a_port_is_tried),
		cmocka_unit_test(a_socket_that_is_no_network_s_leaves_all_unknown),
		cmocka_unit_test_setup_teardown(
			the_host_s_figures_are_read, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
