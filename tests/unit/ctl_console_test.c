/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console over its socket: who attaches sees what was, all may type, nobody holds up anybody. The
 * guest is a scrollback that the test writes to; the loop turns in the test's own thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/ctl/claim.h"
#include "hv/ctl/console.h"

struct rig {
	char dir[32];
	struct ctl_claim claim;
	struct loop *loop;
	struct scrollback *s;
	struct ctl_console *c;
	char typed[64];
	size_t ntyped, room;
};

static void rig_typed(void *arg, const void *p, size_t n)
{
	struct rig *r = arg;

	assert_true(n >= 1 && n <= r->room && r->ntyped + n <= sizeof(r->typed));
	memcpy(r->typed + r->ntyped, p, n);
	r->ntyped += n;
	r->room -= n;
}

static size_t rig_room(void *arg)
{
	struct rig *r = arg;

	return r->room;
}

static void rig_open(struct rig *r)
{
	const struct ctl_console_input in = { .room = rig_room, .take = rig_typed, .arg = r };
	struct err e;
	int fd;

	memset(r, 0, sizeof(*r));
	r->room = sizeof(r->typed);
	strcpy(r->dir, "/tmp/watari-console-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(ctl_claim_take(&r->claim, r->dir, "bird", &e), 0);
	r->loop = loop_new(&e);
	assert_int_equal(scrollback_new(&r->s, &e), 0);
	fd = ctl_claim_listen_console(&r->claim, &e);
	assert_true(fd >= 0);
	assert_int_equal(ctl_console_new(&r->c, r->loop, fd, r->s, &in, &e), 0);
}

static void rig_close(struct rig *r)
{
	ctl_console_free(r->c);
	scrollback_free(r->s);
	loop_free(r->loop);
	ctl_claim_drop(&r->claim);
	assert_int_equal(rmdir(r->dir), 0); /* nothing is left behind */
}

static void turn(struct rig *r)
{
	while (loop_once(r->loop, 0) > 0)
		;
}

static int attach(struct rig *r)
{
	struct err e;
	int fd = ctl_console_connect(r->dir, "bird", &e);

	assert_true(fd >= 0);
	turn(r);
	return fd;
}

/* What is there for @fd now is @text, all of it. */
static void sees(int fd, const char *text)
{
	char buf[4096] = "";
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	if (n < 0)
		n = 0;
	buf[n] = '\0';
	assert_string_equal(buf, text);
}

static void attach_detach_and_attach_again(void **state)
{
	struct stat st;
	struct rig r;
	char path[64];
	int fd;

	(void)state;
	rig_open(&r);
	snprintf(path, sizeof(path), "%s/bird.console", r.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	scrollback_write(r.s, "one ", 4);
	fd = attach(&r);
	sees(fd, "one ");
	scrollback_write(r.s, "two ", 4);
	turn(&r);
	sees(fd, "two ");
	close(fd);
	turn(&r);
	scrollback_write(r.s, "three", 5);
	fd = attach(&r);
	sees(fd, "one two three");
	close(fd);
	rig_close(&r);
}

static void all_see_and_all_may_type(void **state)
{
	struct rig r;
	int a, b;

	(void)state;
	rig_open(&r);
	a = attach(&r);
	b = attach(&r);
	scrollback_write(r.s, "hello", 5);
	turn(&r);
	sees(a, "hello");
	sees(b, "hello");
	assert_int_equal(send(a, "ls", 2, 0), 2);
	turn(&r);
	assert_int_equal(send(b, "\r", 1, 0), 1);
	turn(&r);
	assert_int_equal(r.ntyped, 3);
	assert_memory_equal(r.typed, "ls\r", 3);
	close(a);
	close(b);
	turn(&r);
	rig_close(&r);
}

static void one_too_many_is_turned_away(void **state)
{
	int fd[CTL_VIEWERS_MAX + 1];
	struct rig r;
	char c;

	(void)state;
	rig_open(&r);
	for (int i = 0; i <= CTL_VIEWERS_MAX; i++)
		fd[i] = attach(&r);
	sees(fd[CTL_VIEWERS_MAX], "[too many are attached to this console]\r\n");
	assert_int_equal(recv(fd[CTL_VIEWERS_MAX], &c, 1, 0), 0);
	close(fd[0]);
	turn(&r);
	close(fd[CTL_VIEWERS_MAX]);
	fd[0] = attach(&r); /* there is room again */
	scrollback_write(r.s, "x", 1);
	turn(&r);
	sees(fd[0], "x");
	for (int i = 0; i < CTL_VIEWERS_MAX; i++)
		close(fd[i]);
	rig_close(&r);
}

/* It reads nothing while 8 MiB go by; the other sees the last line, and it is told of its loss. */
static void a_slow_reader_loses_output_and_holds_up_nobody(void **state)
{
	static char line[4096];
	char buf[65536];
	uint64_t got = 0;
	bool notice = false;
	struct rig r;
	ssize_t n;
	int slow, fast;

	(void)state;
	rig_open(&r);
	memset(line, '.', sizeof(line));
	slow = attach(&r);
	fast = attach(&r);
	for (int i = 0; i < 2048; i++) {
		scrollback_write(r.s, line, sizeof(line));
		turn(&r);
		while (recv(fast, buf, sizeof(buf), MSG_DONTWAIT) > 0)
			turn(&r);
	}
	scrollback_write(r.s, "end", 3);
	turn(&r);
	sees(fast, "end");
	do {
		n = recv(slow, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		if (n > 0) {
			got += (uint64_t)n;
			buf[n] = '\0';
			notice |= strstr(buf, "bytes of output lost]") != NULL;
			turn(&r);
		}
	} while (n > 0);
	assert_true(notice);
	assert_true(got > SCROLLBACK_SIZE && got < 4u << 20);
	close(slow);
	close(fast);
	rig_close(&r);
}

/* The guest takes four bytes at a time: what it has no room for stays with who typed it. */
static void who_types_faster_than_the_guest_reads_waits(void **state)
{
	struct rig r;
	int a, b;

	(void)state;
	rig_open(&r);
	r.room = 4;
	a = attach(&r);
	b = attach(&r);
	assert_int_equal(send(a, "abcdefgh", 8, 0), 8);
	turn(&r);
	assert_int_equal(send(b, "xyz", 3, 0), 3);
	turn(&r);
	assert_int_equal(r.ntyped, 4);
	/* Held, they still see what the guest writes, and one that has left is not forgotten. */
	scrollback_write(r.s, "slow", 4);
	turn(&r);
	sees(a, "slow");
	close(b);
	turn(&r);
	assert_int_equal(loop_once(r.loop, 0), 0); /* nor does the loop turn for nothing */
	r.room = 4;
	ctl_console_room(r.c);
	turn(&r);
	assert_int_equal(r.ntyped, 8);
	r.room = 4;
	ctl_console_room(r.c);
	turn(&r);
	assert_int_equal(r.ntyped, 11);
	r.typed[11] = '\0';
	assert_non_null(strstr(r.typed, "xyz"));
	assert_memory_equal(r.typed, "abcd", 4);
	r.room = 4;
	ctl_console_room(r.c);
	assert_int_equal(send(a, "!", 1, 0), 1);
	turn(&r);
	assert_int_equal(r.ntyped, 12);
	close(a);
	turn(&r);
	rig_close(&r);
}

/* A guest that never reads does not make its console unreachable. */
static void who_left_with_the_guest_deaf_makes_room_for_others(void **state)
{
	struct rig r;
	int fd;

	(void)state;
	rig_open(&r);
	r.room = 0;
	for (int i = 0; i < 2 * CTL_VIEWERS_MAX; i++) {
		fd = attach(&r);
		assert_int_equal(send(fd, "?", 1, 0), 1);
		turn(&r);
		close(fd);
		turn(&r);
	}
	fd = attach(&r);
	scrollback_write(r.s, "here", 4);
	turn(&r);
	sees(fd, "here");
	assert_int_equal(r.ntyped, 0);
	close(fd);
	turn(&r);
	rig_close(&r);
}

static void a_guest_that_is_not_there(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ctl_console_connect("/nowhere", "bird", &e), -ENOENT);
	assert_non_null(strstr(e.msg, "bird"));
	assert_int_equal(ctl_console_connect("/tmp", "../bird", &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach_detach_and_attach_again),
		cmocka_unit_test(all_see_and_all_may_type),
		cmocka_unit_test(one_too_many_is_turned_away),
		cmocka_unit_test(a_slow_reader_loses_output_and_holds_up_nobody),
		cmocka_unit_test(who_types_faster_than_the_guest_reads_waits),
		cmocka_unit_test(who_left_with_the_guest_deaf_makes_room_for_others),
		cmocka_unit_test(a_guest_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
