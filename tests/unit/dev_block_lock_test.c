/* SPDX-License-Identifier: Apache-2.0 */
/* An image belongs to one guest that writes it, or to any number that read it, and to nobody once
 * its holder is dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/block.h"

struct rig {
	char dir[64], path[128], note[160];
};

static void rig_init(struct rig *r)
{
	int fd;

	strcpy(r->dir, "/var/tmp/watari-lock-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/image", r->dir);
	snprintf(r->note, sizeof(r->note), "%s.holder", r->path);
	fd = open(r->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
}

static void rig_fini(struct rig *r)
{
	unlink(r->note);
	unlink(r->path);
	assert_int_equal(rmdir(r->dir), 0);
}

static struct block *opened(struct rig *r, bool readonly)
{
	const struct block_options o = { .name = "root", .path = r->path, .readonly = readonly };
	struct block *b;
	struct err e;

	assert_int_equal(block_open(&b, &o, &e), 0);
	return b;
}

static void says(const struct err *e, const char *what)
{
	if (!strstr(e->msg, what))
		fail_msg("'%s' does not say '%s'", e->msg, what);
}

static void test_a_second_writer_is_refused_and_told_who_has_it(void **state)
{
	struct err e = { 0 };
	struct block *a, *b;
	char host[65] = "";
	struct rig r;

	(void)state;
	gethostname(host, sizeof(host) - 1);
	rig_init(&r);
	a = opened(&r, false);
	b = opened(&r, false);
	assert_false(block_locked(a));
	assert_int_equal(block_lock(a, 0, &e), 0);
	assert_int_equal(block_lock(a, 0, &e), 0);
	assert_true(block_locked(a));
	block_lock_note(a, "web1");
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	assert_false(block_locked(b));
	says(&e, "disk 'root'");
	says(&e, r.path);
	says(&e, "in use by guest web1 on host ");
	says(&e, host);
	block_close(b);
	block_close(a);
	assert_int_equal(access(r.note, F_OK), -1); /* nobody has it, nobody is named */
	rig_fini(&r);
}

static void test_a_holder_without_a_name_is_refused_too(void **state)
{
	struct err e = { 0 };
	struct block *a, *b;
	struct rig r;

	(void)state;
	rig_init(&r);
	a = opened(&r, false);
	b = opened(&r, true);
	assert_int_equal(block_lock(a, 0, &e), 0);
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	says(&e, "left no name");
	block_close(a);
	block_close(b);
	rig_fini(&r);
}

static void test_readers_share_and_keep_writers_out(void **state)
{
	struct block *a, *b, *w;
	struct err e = { 0 };
	struct rig r;

	(void)state;
	rig_init(&r);
	a = opened(&r, true);
	b = opened(&r, true);
	w = opened(&r, false);
	assert_int_equal(block_lock(a, 0, &e), 0);
	assert_int_equal(block_lock(b, 0, &e), 0);
	block_lock_note(a, "reader"); /* there may be many: none is named */
	assert_int_equal(access(r.note, F_OK), -1);
	assert_int_equal(block_lock(w, 0, &e), -EAGAIN);
	says(&e, "for reading");
	block_close(a);
	assert_int_equal(block_lock(w, 0, &e), -EAGAIN);
	block_unlock(b);
	assert_int_equal(block_lock(w, 0, &e), 0);
	block_close(b);
	block_close(w);
	rig_fini(&r);
}

static void test_the_lock_is_handed_over(void **state)
{
	struct block *source, *target;
	struct err e = { 0 };
	struct rig r;

	(void)state;
	rig_init(&r);
	source = opened(&r, false);
	target = opened(&r, false); /* before the freeze: it is open at both */
	assert_int_equal(block_lock(source, 0, &e), 0);
	block_lock_note(source, "moving");
	block_unlock(source);
	assert_int_equal(block_lock(target, 0, &e), 0);
	block_lock_note(target, "moving");
	assert_int_equal(block_lock(source, 0, &e), -EAGAIN);
	block_close(source); /* leaves the new holder's note alone */
	assert_int_equal(access(r.note, F_OK), 0);
	block_close(target);
	rig_fini(&r);
}

/* A process that has the lock and requests in progress, until it is killed. */
static void holder(struct rig *r, int ready)
{
	static uint8_t data[1 << 20];
	struct iovec iov = { data, sizeof(data) };
	struct block_io io = { .op = BLOCK_WRITE, .len = sizeof(data), .iov = &iov, .niov = 1 };
	struct block *b = opened(r, false);
	struct err e;

	if (block_lock(b, 0, &e))
		_exit(1);
	block_lock_note(b, "doomed");
	block_post(b, &io);
	block_submit(b);
	if (write(ready, "y", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void test_a_killed_holder_holds_nothing(void **state)
{
	struct err e = { 0 };
	struct block *b;
	struct rig r;
	int pipes[2], status;
	char c;
	pid_t pid;

	(void)state;
	rig_init(&r);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0)
		holder(&r, pipes[1]);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	b = opened(&r, false);
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	says(&e, "guest doomed");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* What its ring had under way may keep the file open for an instant longer. */
	assert_int_equal(block_lock(b, 300, &e), 0);
	block_close(b);
	close(pipes[0]);
	rig_fini(&r);
}

static void test_a_strange_note_is_only_text(void **state)
{
	struct err e = { 0 };
	struct block *a, *b;
	struct rig r;
	FILE *f;

	(void)state;
	rig_init(&r);
	a = opened(&r, false);
	b = opened(&r, false);
	assert_int_equal(block_lock(a, 0, &e), 0);
	f = fopen(r.note, "w");
	for (int i = 0; i < 1000; i++)
		fputs("x\x1b[31m%s%n", f);
	fclose(f);
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	assert_null(strchr(e.msg, '\x1b'));
	unlink(r.note);
	assert_int_equal(symlink("/etc/passwd", r.note), 0);
	block_lock_note(a, "web1"); /* not through a link */
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	says(&e, "left no name");
	assert_int_equal(unlink(r.note), 0);
	assert_int_equal(mkfifo(r.note, 0600), 0);
	assert_int_equal(block_lock(b, 0, &e), -EAGAIN);
	block_close(a);
	block_close(b);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_second_writer_is_refused_and_told_who_has_it),
		cmocka_unit_test(test_a_holder_without_a_name_is_refused_too),
		cmocka_unit_test(test_readers_share_and_keep_writers_out),
		cmocka_unit_test(test_the_lock_is_handed_over),
		cmocka_unit_test(test_a_killed_holder_holds_nothing),
		cmocka_unit_test(test_a_strange_note_is_only_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
