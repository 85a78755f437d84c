/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring engine where it differs from the contract every transport keeps: hosts that forbid
 * it, paths on which zero-copy is none, limits on pinned memory, a second thread.
 * Next in the flow: tests/contract/ (the rest).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "transport-tcp/uring.h"
#include "transport-tcp/xtcp.h"

#define LONG_NS     20000000000ull
#define REGION_SIZE (16u << 20)
#define NOBODY      65534

static const struct xport_ops *const ops = &xtcp_uring_ops;

/* Skips, and says why, where the host has no io_uring. */
static void need_uring(void)
{
	struct xport_probe pr;

	ops->probe(NULL, &pr);
	if (!pr.usable) {
		print_message("# skipped: %s\n", pr.why);
		skip();
	}
}

/* A connection over loopback TCP, both ends in this process. */
struct rig {
	struct xport *src, *dst;
	uint8_t *from, *to;
};

static void rig_sockets(int fds[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&a, len), 0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(l);
}

static uint8_t *rig_mem(void)
{
	void *p =
		mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void rig_open(struct rig *r)
{
	struct err e;
	int fds[2];

	need_uring();
	rig_sockets(fds);
	assert_int_equal(xtcp_adopt(&r->src, &fds[0], 1, false, &xuring_engine, &e), 0);
	assert_int_equal(xtcp_adopt(&r->dst, &fds[1], 1, true, &xuring_engine, &e), 0);
	r->from = rig_mem();
	r->to = rig_mem();
	memset(r->from, 0x5a, REGION_SIZE);
	assert_int_equal(ops->region_add(r->src, 0, r->from, REGION_SIZE, &e), 0);
	assert_int_equal(ops->region_add(r->dst, 0, r->to, REGION_SIZE, &e), 0);
}

static void rig_close(struct rig *r)
{
	ops->close(r->src);
	ops->close(r->dst);
	munmap(r->from, REGION_SIZE);
	munmap(r->to, REGION_SIZE);
}

/* Sends all of the region in blocks, then a message; returns when the target has it. */
static void rig_move(struct rig *r)
{
	uint64_t posted = 0, start = clock_mono_ns();
	bool arrived = false;
	struct xport_stats st;
	struct xport_event ev;
	struct err e;

	while (!arrived) {
		struct xport_put p = { 0, posted, XPORT_BLOCK_SIZE, false, posted };

		if (posted < REGION_SIZE && ops->put(r->src, &p, &e) == 0) {
			posted += XPORT_BLOCK_SIZE;
			if (posted == REGION_SIZE)
				assert_int_equal(ops->msg(r->src, 1, NULL, 0, &e), 0);
		}
		if (ops->poll(r->src, 0, &ev, 1, &e) > 0)
			assert_int_equal(ev.type, XPORT_EV_PUT_DONE);
		if (ops->poll(r->dst, 0, &ev, 1, &e) > 0) {
			assert_int_equal(ev.type, XPORT_EV_MSG);
			arrived = true;
		}
		assert_true(clock_mono_ns() - start < LONG_NS);
	}
	assert_memory_equal(r->to, r->from, REGION_SIZE);
	ops->stats(r->dst, &st);
	assert_int_equal(st.arrived_end, REGION_SIZE);
}

static void loopback_copies_and_zero_copy_gives_way(void **state)
{
	struct xport_stats st;
	struct rig r = { 0 };
	struct xuring *u;

	(void)state;
	rig_open(&r);
	u = r.src->own;
	if (u->zc_min == XURING_ZC_OFF) {
		print_message("# skipped: this kernel has no zero-copy send\n");
		skip();
	}
	rig_move(&r);
	if (!u->zc_reports) {
		print_message("# skipped: this kernel does not say whether it copied\n");
		skip();
	}
	while (u->zc_min != XURING_ZC_OFF)
		rig_move(&r);
	assert_int_equal(u->copied, u->notified);
	assert_int_equal(u->notified, 4); /* found out early, by a put each */
	ops->stats(r.src, &st);
	assert_true(st.zc_bytes <= 4 * (XPORT_BLOCK_SIZE + XTCP_FRAME_SIZE));
	assert_int_equal(u->zc_min, XURING_ZC_OFF);
	rig_move(&r);
	ops->stats(r.src, &st);
	assert_true(st.zc_bytes > 0 && st.zc_copied_bytes > 0);
	assert_true(st.zc_copied_bytes <= st.zc_bytes);
	assert_true(st.zc_bytes < st.put_bytes);
	rig_close(&r);
}

/* Runs @what in a child, whose exit status is 0 if it found what it should. */
static void in_child(int (*what)(void))
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(what());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A container's filter: io_uring_setup() fails with @code. */
static void forbid_io_uring(unsigned code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(70);
}

static int probe_refuses_with(unsigned code, const char *says)
{
	struct xport_probe pr = { .usable = true };

	forbid_io_uring(code);
	ops->probe(NULL, &pr);
	return pr.usable ? 71 : strstr(pr.why, says) ? 0 : 72;
}

static int child_eperm(void)
{
	return probe_refuses_with(EPERM, "seccomp");
}

static int child_enosys(void)
{
	return probe_refuses_with(ENOSYS, "has no io_uring");
}

static void a_filter_is_named(void **state)
{
	(void)state;
	need_uring(); /* else the host's own reason comes first */
	in_child(child_eperm);
	in_child(child_enosys);
}

static void *accept_one(void *arg)
{
	struct xport *x = NULL;
	struct err e;

	ops->accept(arg, LONG_NS, &x, &e);
	return x;
}

static int child_accepts_without(void)
{
	struct xport_addr a = { .host = "127.0.0.1", .streams = 2 };
	struct xport_listener *l;
	void *target = NULL;
	struct xport *src;
	pthread_t t;
	struct err e;

	forbid_io_uring(EPERM);
	if (ops->listen(&l, &a, &e) || pthread_create(&t, NULL, accept_one, l))
		return 70;
	if (ops->connect(&src, &a, LONG_NS, &e) == 0 || !strstr(e.msg, "seccomp"))
		return 71;
	/* The target has not heard of that attempt and waits for the next. */
	if (xtcp_sock_ops.connect(&src, &a, LONG_NS, &e))
		return 72;
	pthread_join(t, &target);
	if (!target)
		return 73;
	ops->close(target);
	xtcp_sock_ops.close(src);
	return 0;
}

static void a_target_without_it_accepts_by_sockets(void **state)
{
	(void)state;
	need_uring();
	in_child(child_accepts_without);
}

/* Without the right to lock memory, what cannot be pinned is copied, and arrives. */
static int child_memlock(void)
{
	const struct rlimit little = { 256 << 10, 256 << 10 }; /* two rings, no put */
	struct rig r = { 0 };

	if (setrlimit(RLIMIT_MEMLOCK, &little) || (getuid() == 0 && setuid(NOBODY)))
		return 70;
	rig_open(&r);
	rig_move(&r);
	rig_close(&r);
	return 0;
}

static void little_memlock_still_arrives(void **state)
{
	(void)state;
	need_uring();
	in_child(child_memlock);
}

static void *poll_once(void *arg)
{
	static struct xport_event ev;
	struct err e;

	ops->poll(arg, 0, &ev, 1, &e);
	return NULL;
}

static void a_second_thread_is_told(void **state)
{
	struct xport_event ev = { 0 };
	struct rig r = { 0 };
	pthread_t t;
	struct err e;

	(void)state;
	rig_open(&r);
	if (!(((struct xuring *)r.dst->own)->ring.flags & IORING_SETUP_SINGLE_ISSUER)) {
		print_message("# skipped: this kernel lets any thread use a ring\n");
		skip();
	}
	assert_int_equal(pthread_create(&t, NULL, poll_once, r.dst), 0);
	pthread_join(t, NULL);
	assert_int_equal(ops->poll(r.dst, 0, &ev, 1, &e), 1);
	assert_int_equal(ev.type, XPORT_EV_DOWN);
	assert_non_null(strstr(ev.err.msg, "thread"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_copies_and_zero_copy_gives_way),
		cmocka_unit_test(a_filter_is_named),
		cmocka_unit_test(a_target_without_it_accepts_by_sockets),
		cmocka_unit_test(little_memlock_still_arrives),
		cmocka_unit_test(a_second_thread_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
