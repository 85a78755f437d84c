/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt to become the owner concludes from the lock, the record, and whose word it is;
 * and that a lock which was lost without a word is noticed before the record is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/block_internal.h"
#include "hv/dev/block_own.h"

#define ELSEWHERE BLOCK_OWN_LOCK_ELSEWHERE
#define TAKEN     BLOCK_OWN_LOCK_TAKEN

static enum block_own judged(enum block_own_lock lock, uint64_t epoch, bool mine)
{
	const struct block_owner expected = { .epoch = 7 };
	const struct block_record r = { .owner.epoch = epoch };

	return block_own_judge(lock, 0, &r, mine, &expected);
}

static void lock_and_epoch_decide_together(void **state)
{
	(void)state;
	assert_int_equal(judged(TAKEN, 7, false), BLOCK_OWN_TAKEN);
	assert_int_equal(judged(TAKEN, 8, false), BLOCK_OWN_DENIED);
	/* a lock alone makes no owner: with the old epoch its holder is none yet */
	assert_int_equal(judged(ELSEWHERE, 7, false), BLOCK_OWN_HELD);
	assert_int_equal(judged(ELSEWHERE, 8, false), BLOCK_OWN_DENIED);
}

static void a_write_whose_answer_was_lost_is_our_own(void **state)
{
	(void)state;
	assert_int_equal(judged(TAKEN, 8, true), BLOCK_OWN_TAKEN);
	assert_int_equal(judged(TAKEN, 9, true), BLOCK_OWN_DENIED);
	/* it may be ours, so nobody may promise never to run the guest */
	assert_int_equal(judged(ELSEWHERE, 8, true), BLOCK_OWN_MUTE);
}

static void a_lock_lost_without_a_word_is_noticed(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct flock unlock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	char dir[] = "/var/tmp/watari-judge-XXXXXX", path[64], note[80];
	struct block_options o = { .name = "root", .path = path };
	struct block_owner who = { .guest = "web1", .epoch = 7 };
	struct block *a, *b;
	struct err e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(note, sizeof(note), "%s.holder", path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_int_equal(block_open(&a, &o, &e), 0);
	assert_int_equal(block_open(&b, &o, &e), 0);
	assert_int_equal(block_lock(a, 0, &e), 0);
	assert_int_equal(block_own_begin(a, &who, &e), 0);
	/* the lease ends, and another takes the lock before it has written anything */
	assert_int_equal(fcntl(a->fd, F_OFD_SETLK, &unlock), 0);
	assert_int_equal(block_lock(b, 0, &e), 0);
	assert_true(block_locked(a));
	assert_int_equal(block_own_acquire(a, &who, true, &e), BLOCK_OWN_HELD);
	assert_non_null(strstr(e.msg, "its lock was lost"));
	assert_int_equal(who.epoch, 7);
	assert_false(block_locked(a));
	/* given back, but somebody is still at the record: that one's lock fences it */
	block_unlock(b);
	fd = open(note, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(block_own_acquire(a, &who, false, &e), BLOCK_OWN_HELD);
	assert_non_null(strstr(e.msg, "at its record"));
	assert_false(block_locked(a));
	close(fd);
	/* the epoch is still ours */
	assert_int_equal(block_own_acquire(a, &who, false, &e), BLOCK_OWN_TAKEN);
	assert_int_equal(who.epoch, 8);
	block_close(b);
	block_close(a);
	unlink(note);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lock_and_epoch_decide_together),
		cmocka_unit_test(a_write_whose_answer_was_lost_is_our_own),
		cmocka_unit_test(a_lock_lost_without_a_word_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
