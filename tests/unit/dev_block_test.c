/* SPDX-License-Identifier: Apache-2.0 */
/* A disk's image gives back what was written to it, whatever the alignment, and says what failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/block_internal.h"

#define SIZE (4u << 20)

struct rig {
	char dir[64], path[128];
	struct block *b;
	int result; /* of the last request; 1: none yet */
	int fail_after, fail_with;
};

static int rig_fault(void *arg, const struct block_io *io)
{
	struct rig *r = arg;

	(void)io;
	return r->fail_with && r->fail_after-- <= 0 ? r->fail_with : 0;
}

static void rig_done(struct block_io *io, int result)
{
	struct rig *r = io->arg;

	r->result = result;
}

static void rig_file(struct rig *r, off_t size)
{
	int fd;

	memset(r, 0, sizeof(*r));
	/* Not /tmp, which may be a tmpfs: that does no direct I/O everywhere. */
	strcpy(r->dir, "/var/tmp/watari-block-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/image", r->dir);
	fd = open(r->path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int rig_open(struct rig *r, bool readonly, bool direct, struct err *e)
{
	const struct block_options o = { .name = "root",
		.path = r->path,
		.readonly = readonly,
		.direct = direct,
		.fault = rig_fault,
		.fault_arg = r };

	return block_open(&r->b, &o, e);
}

static void rig_close(struct rig *r)
{
	char note[160];

	block_close(r->b);
	snprintf(note, sizeof(note), "%s.holder", r->path);
	unlink(note);
	unlink(r->path);
	assert_int_equal(rmdir(r->dir), 0);
}

static int run(struct rig *r, struct block_io *io)
{
	struct err e;

	io->done = rig_done;
	io->arg = r;
	r->result = 1;
	block_post(r->b, io);
	block_submit(r->b);
	while (block_busy(r->b)) {
		struct pollfd p = { .fd = block_event_fd(r->b), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		block_reap(r->b);
	}
	(void)e;
	assert_int_not_equal(r->result, 1);
	return r->result;
}

static int transfer(struct rig *r, enum block_op op, uint64_t off, void *p, size_t n)
{
	/* In three pieces of odd sizes, so that pieces are not aligned either. */
	struct iovec iov[3] = { { p, n / 3 }, { (char *)p + n / 3, 5 },
		{ (char *)p + n / 3 + 5, n - n / 3 - 5 } };
	struct block_io io = { .op = op, .off = off, .len = n, .iov = iov, .niov = 3 };

	return run(r, &io);
}

static int simple(struct rig *r, enum block_op op, uint64_t off, uint64_t n, bool unmap)
{
	struct block_io io = { .op = op, .off = off, .len = n, .unmap = unmap };

	return run(r, &io);
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static void round_trips(bool direct)
{
	static const struct {
		uint64_t off;
		size_t len;
	} at[] = { { 0, 4096 }, { 512, 512 }, { 4096, 1536 }, { 8192, 1 << 20 },
		{ SIZE - 512, 512 }, { 12288, (300u << 10) + 512 } };
	uint8_t *a = malloc(SIZE), *b = malloc(SIZE);
	struct rig r;
	struct err e;

	rig_file(&r, SIZE);
	if (rig_open(&r, false, direct, &e)) {
		print_message("%s\n", e.msg);
		assert_true(direct && e.code == -EINVAL);
		rig_close(&r);
		free(a);
		free(b);
		skip();
	}
	assert_int_equal(block_size(r.b), SIZE);
	assert_int_equal(block_sector(r.b), 512);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		fill(a, at[i].len, (unsigned)i + 1);
		memset(b, 0, at[i].len);
		assert_int_equal(transfer(&r, BLOCK_WRITE, at[i].off, a, at[i].len), 0);
		assert_true(block_unflushed(r.b));
		assert_int_equal(transfer(&r, BLOCK_READ, at[i].off, b, at[i].len), 0);
		assert_memory_equal(a, b, at[i].len);
		assert_int_equal(simple(&r, BLOCK_FLUSH, 0, 0, false), 0);
		assert_false(block_unflushed(r.b));
	}
	rig_close(&r);
	free(a);
	free(b);
}

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	round_trips(false);
}

static void test_direct_io_takes_any_alignment(void **state)
{
	(void)state;
	round_trips(true);
}

static void test_many_requests_at_once_all_end(void **state)
{
	enum { N = 1000 };
	struct block_io *io = calloc(N, sizeof(*io));
	struct iovec *iov = calloc(N, sizeof(*iov));
	uint8_t *a = malloc(N * 512), *b = calloc(N, 512);
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	fill(a, N * 512, 7);
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < N; i++) {
			iov[i] = (struct iovec){ (pass ? b : a) + i * 512, 512 };
			io[i] = (struct block_io){ .op = pass ? BLOCK_READ : BLOCK_WRITE,
				.off = i * 512,
				.len = 512,
				.iov = &iov[i],
				.niov = 1,
				.done = rig_done,
				.arg = &r };
			block_post(r.b, &io[i]);
		}
		assert_int_equal(block_busy(r.b), N);
		assert_int_equal(block_drain(r.b, 10000, &e), 0);
		assert_int_equal(block_busy(r.b), 0);
		assert_false(block_unflushed(r.b));
	}
	assert_memory_equal(a, b, N * 512);
	rig_close(&r);
	free(io);
	free(iov);
	free(a);
	free(b);
}

/* What a guest writes and never flushes does not pile up until a freeze has to. */
static void test_the_host_is_asked_to_write_out(void **state)
{
	uint8_t *a = malloc(SIZE);
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	fill(a, SIZE, 2);
	for (unsigned n = 1; n <= 10; n++) {
		assert_int_equal(transfer(&r, BLOCK_WRITE, 0, a, SIZE), 0);
		assert_int_equal(r.b->behind_bytes, n * SIZE % BLOCK_BEHIND);
		assert_int_equal(block_busy(r.b), 0);
	}
	assert_true(block_unflushed(r.b)); /* asking is not a flush */
	rig_close(&r);
	free(a);
}

static void test_zeroes_and_discards(void **state)
{
	uint8_t a[8192], b[8192], zero[8192] = { 0 };
	struct stat st;
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	for (int unmap = 0; unmap < 2; unmap++) {
		fill(a, sizeof(a), 3);
		assert_int_equal(transfer(&r, BLOCK_WRITE, 4096, a, sizeof(a)), 0);
		assert_int_equal(simple(&r, BLOCK_ZERO, 4608, 4096, unmap), 0);
		assert_int_equal(transfer(&r, BLOCK_READ, 4096, b, sizeof(b)), 0);
		assert_memory_equal(b, a, 512);
		assert_memory_equal(b + 512, zero, 4096);
		assert_memory_equal(b + 4608, a + 4608, sizeof(a) - 4608);
	}
	assert_int_equal(simple(&r, BLOCK_DISCARD, 0, SIZE, false), 0);
	assert_int_equal(stat(r.path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	rig_close(&r);
}

/* The next best way each time: as on a filesystem that can do neither. */
static int no_fallocate(void *arg, const struct block_io *io)
{
	(void)arg;
	return (io->op == BLOCK_ZERO && io->step < 2) || io->op == BLOCK_DISCARD ? -EOPNOTSUPP : 0;
}

static void test_zeroes_are_written_where_nothing_can_be_punched(void **state)
{
	const size_t n = (200u << 10) + 512;
	uint8_t *a = malloc(SIZE), *b = malloc(SIZE);
	struct block_options o = { .name = "root", .fault = no_fallocate };
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	o.path = r.path;
	assert_int_equal(block_open(&r.b, &o, &e), 0);
	fill(a, 1 << 20, 9);
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, a, 1 << 20), 0);
	assert_int_equal(simple(&r, BLOCK_ZERO, 512, n, true), 0);
	assert_int_equal(simple(&r, BLOCK_DISCARD, 512, n, false), 0);
	assert_int_equal(transfer(&r, BLOCK_READ, 0, b, 1 << 20), 0);
	memset(a + 512, 0, n);
	assert_memory_equal(a, b, 1 << 20);
	rig_close(&r);
	free(a);
	free(b);
}

static void test_nothing_outside_the_image_is_touched(void **state)
{
	uint8_t buf[1024];
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	assert_int_equal(transfer(&r, BLOCK_WRITE, SIZE - 512, buf, 1024), -EINVAL);
	assert_int_equal(transfer(&r, BLOCK_READ, SIZE, buf, 512), -EINVAL);
	assert_int_equal(transfer(&r, BLOCK_READ, UINT64_MAX - 511, buf, 1024), -EINVAL);
	assert_int_equal(transfer(&r, BLOCK_READ, 100, buf, 512), -EINVAL);
	assert_int_equal(transfer(&r, BLOCK_READ, 0, buf, 100), -EINVAL);
	assert_int_equal(simple(&r, BLOCK_DISCARD, 512, SIZE, false), -EINVAL);
	assert_int_equal(simple(&r, BLOCK_ZERO, 0, UINT64_MAX - 511, true), -EINVAL);
	assert_int_equal(simple(&r, BLOCK_READ, 0, 512, false), -EINVAL); /* no memory */
	assert_int_equal(simple(&r, BLOCK_OPS, 0, 0, false), -EINVAL);
	assert_int_equal(simple(&r, BLOCK_READ, 0, 0, false), 0);
	rig_close(&r);
}

static void test_readonly_is_read_only(void **state)
{
	uint8_t buf[512];
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, true, false, &e), 0);
	assert_true(block_readonly(r.b));
	assert_int_equal(transfer(&r, BLOCK_READ, 0, buf, 512), 0);
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, buf, 512), -EROFS);
	assert_int_equal(simple(&r, BLOCK_DISCARD, 0, 512, false), -EROFS);
	assert_int_equal(simple(&r, BLOCK_ZERO, 0, 512, false), -EROFS);
	assert_int_equal(simple(&r, BLOCK_FLUSH, 0, 0, false), 0);
	rig_close(&r);
}

static void test_an_image_cut_short_is_an_error_not_a_hang(void **state)
{
	uint8_t buf[4096];
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE + 100); /* the odd bytes at the end are not given out */
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	assert_int_equal(block_size(r.b), SIZE);
	assert_int_equal(truncate(r.path, 6144), 0);
	assert_int_equal(transfer(&r, BLOCK_READ, 4096, buf, 2048), 0);
	assert_int_equal(transfer(&r, BLOCK_READ, 4096, buf, 4096), -EIO);
	assert_int_equal(transfer(&r, BLOCK_READ, 8192, buf, 4096), -EIO);
	rig_close(&r);
}

static void test_injected_failures_arrive(void **state)
{
	uint8_t buf[4096] = { 0 };
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, SIZE);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	r.fail_with = -EIO;
	r.fail_after = 1;
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, buf, 4096), 0);
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, buf, 4096), -EIO);
	assert_int_equal(block_drain(r.b, 5000, &e), -EIO); /* its flush fails too */
	assert_non_null(strstr(e.msg, "disk 'root'"));
	assert_true(block_unflushed(r.b));
	r.fail_with = 0;
	assert_int_equal(block_drain(r.b, 5000, &e), 0);
	assert_false(block_unflushed(r.b));
	rig_close(&r);
}

static void test_a_full_filesystem_is_the_requests_error(void **state)
{
	uint8_t *buf = calloc(1, SIZE);
	struct rig r;
	struct err e;

	(void)state;
	rig_file(&r, 0);
	unlink(r.path);
	if (mount("none", r.dir, "tmpfs", 0, "size=1m") < 0) {
		print_message("skipped: a small tmpfs cannot be mounted (%s)\n", strerror(errno));
		rig_close(&r);
		free(buf);
		skip();
	}
	assert_int_equal(close(open(r.path, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(truncate(r.path, SIZE), 0);
	assert_int_equal(rig_open(&r, false, false, &e), 0);
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, buf, SIZE), -ENOSPC);
	assert_int_equal(simple(&r, BLOCK_DISCARD, 0, SIZE, false), 0);
	assert_int_equal(transfer(&r, BLOCK_WRITE, 0, buf, 512 << 10), 0);
	block_close(r.b);
	r.b = NULL;
	unlink(r.path);
	assert_int_equal(umount(r.dir), 0);
	rig_close(&r);
	free(buf);
}

/* A loop device over the rig's file; -1 where there is none to be had. */
static int loop_attach(const char *file, char *path, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR), fd = open(file, O_RDWR);
	int n = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1, loop = -1;

	if (n >= 0 && fd >= 0) {
		snprintf(path, size, "/dev/loop%d", n);
		loop = open(path, O_RDWR);
		if (loop >= 0 && ioctl(loop, LOOP_SET_FD, fd) < 0) {
			close(loop);
			loop = -1;
		}
	}
	if (control >= 0)
		close(control);
	close(fd);
	return loop;
}

static void test_a_block_device_is_a_disk_too(void **state)
{
	uint8_t *a = malloc(SIZE), *b = malloc(SIZE);
	char image[128];
	struct rig r;
	struct err e;
	int loop;

	(void)state;
	rig_file(&r, SIZE);
	strcpy(image, r.path);
	loop = loop_attach(image, r.path, sizeof(r.path));
	if (loop < 0) {
		print_message("skipped: no loop device is to be had (%s)\n", strerror(errno));
		rig_close(&r);
		free(a);
		free(b);
		skip();
	}
	for (int direct = 0; direct < 2; direct++) {
		if (rig_open(&r, false, direct, &e))
			fail_msg("%s", e.msg);
		assert_int_equal(block_size(r.b), SIZE);
		assert_int_equal(block_lock(r.b, 0, &e), 0);
		fill(a, SIZE, 5u + (unsigned)direct);
		assert_int_equal(transfer(&r, BLOCK_WRITE, 0, a, SIZE), 0);
		assert_int_equal(simple(&r, BLOCK_FLUSH, 0, 0, false), 0);
		assert_int_equal(simple(&r, BLOCK_ZERO, 65536, 8192, true), 0);
		assert_int_equal(simple(&r, BLOCK_ZERO, 1024, 512, false), 0);
		memset(a + 65536, 0, 8192);
		memset(a + 1024, 0, 512);
		assert_int_equal(transfer(&r, BLOCK_READ, 0, b, SIZE), 0);
		assert_memory_equal(a, b, SIZE);
		assert_int_equal(simple(&r, BLOCK_DISCARD, 0, SIZE, false), 0);
		assert_int_equal(transfer(&r, BLOCK_READ, SIZE - 512, b, 512), 0);
		block_close(r.b);
	}
	r.b = NULL;
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	strcpy(r.path, image);
	rig_close(&r);
	free(a);
	free(b);
}

static void refuses(struct rig *r, bool readonly, int code, const char *says)
{
	struct err e = { 0 };

	assert_int_equal(rig_open(r, readonly, false, &e), code);
	assert_null(r->b);
	assert_non_null(strstr(e.msg, "disk 'root'"));
	if (!strstr(e.msg, says))
		fail_msg("'%s' does not say '%s'", e.msg, says);
}

static void test_what_is_no_disk_is_refused(void **state)
{
	struct rig r;

	(void)state;
	rig_file(&r, 100);
	refuses(&r, false, -EINVAL, "is empty");
	unlink(r.path);
	refuses(&r, false, -ENOENT, "cannot open");
	assert_int_equal(mkfifo(r.path, 0600), 0);
	refuses(&r, false, -EINVAL, "neither a file nor a block device");
	unlink(r.path);
	assert_int_equal(mkdir(r.path, 0700), 0);
	refuses(&r, true, -EINVAL, "neither a file nor a block device");
	rmdir(r.path);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_direct_io_takes_any_alignment),
		cmocka_unit_test(test_many_requests_at_once_all_end),
		cmocka_unit_test(test_the_host_is_asked_to_write_out),
		cmocka_unit_test(test_zeroes_and_discards),
		cmocka_unit_test(test_zeroes_are_written_where_nothing_can_be_punched),
		cmocka_unit_test(test_nothing_outside_the_image_is_touched),
		cmocka_unit_test(test_readonly_is_read_only),
		cmocka_unit_test(test_an_image_cut_short_is_an_error_not_a_hang),
		cmocka_unit_test(test_injected_failures_arrive),
		cmocka_unit_test(test_a_full_filesystem_is_the_requests_error),
		cmocka_unit_test(test_a_block_device_is_a_disk_too),
		cmocka_unit_test(test_what_is_no_disk_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
