/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's copy becomes the owner only under the lock, by its own epoch, once: the record beside
 * the image tells, and nonsense there is no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/block_own.h"

struct rig {
	char dir[64], path[128], note[160];
	struct block *a, *b; /* the source's and the target's */
	struct block_owner ao, bo;
};

static struct block *rig_open(struct rig *r)
{
	const struct block_options o = { .name = "root", .path = r->path };
	struct block *b;

	assert_int_equal(block_open(&b, &o, NULL), 0);
	return b;
}

/* The guest lives at a, by epoch 1; b has its copy. */
static int rig_init(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	int fd;

	strcpy(r->dir, "/var/tmp/watari-own-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/image", r->dir);
	snprintf(r->note, sizeof(r->note), "%s.holder", r->path);
	fd = open(r->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	strcpy(r->ao.guest, "bird");
	assert_int_equal(uuid_make(r->ao.uuid), 0);
	r->ao.epoch = 1;
	r->bo = r->ao;
	r->a = rig_open(r);
	r->b = rig_open(r);
	assert_true(block_own_possible(r->a));
	assert_int_equal(block_lock(r->a, 0, NULL), 0);
	assert_int_equal(block_own_begin(r->a, &r->ao, NULL), 0);
	*state = r;
	return 0;
}

static int rig_fini(void **state)
{
	struct rig *r = *state;

	block_close(r->a);
	block_close(r->b);
	unlink(r->note);
	unlink(r->path);
	assert_int_equal(rmdir(r->dir), 0);
	free(r);
	return 0;
}

/* What the record says now. */
static void rig_record(const struct rig *r, struct block_record *out)
{
	char text[BLOCK_RECORD_SIZE + 1];
	int fd = open(r->note, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text));

	close(fd);
	assert_int_equal(n, BLOCK_RECORD_SIZE);
	assert_true(block_record_parse(text, (size_t)n, out));
}

static void test_the_owner_changes_once(void **state)
{
	struct rig *r = *state;
	struct block_record rec;
	struct err e = { 0 };

	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_HELD);
	assert_false(block_locked(r->b));
	assert_int_equal(block_own_check(r->a, &r->ao, &e), 0);
	block_unlock(r->a);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_TAKEN);
	assert_true(block_locked(r->b));
	assert_int_equal(r->bo.epoch, 2);
	rig_record(r, &rec);
	assert_int_equal(rec.owner.epoch, 2);
	assert_string_equal(rec.owner.guest, "bird");
	assert_int_equal(rec.process, getpid());
}

/* The record is read as one of another process: as two hosts would. */
static void rig_disown(const struct rig *r, uint64_t epoch)
{
	struct block_record rec = { .owner = r->ao, .host = "elsewhere", .process = 1 };
	char text[BLOCK_RECORD_SIZE];
	int fd = open(r->note, O_WRONLY | O_CREAT, 0600);

	rec.owner.epoch = epoch;
	block_record_format(text, &rec);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	close(fd);
}

static void test_an_epoch_that_moved_on_is_denied_with_or_without_the_lock(void **state)
{
	struct rig *r = *state;
	struct err e = { 0 };

	rig_disown(r, 2);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_DENIED);
	assert_non_null(strstr(e.msg, "guest bird's, epoch 2, on host elsewhere, process 1"));
	block_unlock(r->a);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_DENIED);
	assert_false(block_locked(r->b));
	assert_int_equal(r->bo.epoch, 1);
	/* and the source may not let go as if it were still its own */
	assert_int_equal(block_lock(r->a, 0, &e), 0);
	assert_int_equal(block_own_check(r->a, &r->ao, &e), -EBUSY);
}

static void test_a_record_that_is_gone(void **state)
{
	struct rig *r = *state;
	struct block_record rec;
	struct err e = { 0 };

	/* by hand, under an owner that has held the lock all the time: it is written again */
	unlink(r->note);
	assert_int_equal(block_own_check(r->a, &r->ao, &e), 0);
	rig_record(r, &rec);
	assert_int_equal(rec.owner.epoch, 1);
	unlink(r->note);
	assert_int_equal(block_own_acquire(r->a, &r->ao, true, &e), BLOCK_OWN_TAKEN);
	assert_int_equal(r->ao.epoch, 2);
	/* by the owner, whose guest has ended: nobody's copy runs any more */
	unlink(r->note);
	block_unlock(r->a);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_DENIED);
	assert_non_null(strstr(e.msg, "its owner has ended the guest"));
}

static void test_what_is_no_record_is_no_answer(void **state)
{
	struct rig *r = *state;
	struct err e = { 0 };
	FILE *f;

	block_unlock(r->a);
	f = fopen(r->note, "w");
	fputs("guest bird on host there, process 1\n", f);
	fclose(f);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_MUTE);
	assert_false(block_locked(r->b));
	assert_non_null(strstr(e.msg, "not what watari writes"));
	unlink(r->note);
	assert_int_equal(symlink("/etc/passwd", r->note), 0);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_MUTE);
	unlink(r->note);
	assert_int_equal(mkdir(r->note, 0700), 0);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_MUTE);
	assert_int_equal(rmdir(r->note), 0);
}

/* Also the last owner's: an end elsewhere must not take the next owner's record away. */
static void test_an_end_takes_away_only_its_own_record(void **state)
{
	struct rig *r = *state;
	struct err e = { 0 };

	block_unlock(r->a);
	assert_int_equal(block_own_acquire(r->b, &r->bo, false, &e), BLOCK_OWN_TAKEN);
	block_close(r->a);
	assert_int_equal(access(r->note, F_OK), 0);
	block_unlock(r->b);
	rig_disown(r, 3);
	block_close(r->b);
	assert_int_equal(access(r->note, F_OK), 0);
	r->a = r->b = NULL;
}

/* Every combination, against the rule in words. */
static void test_the_judgement_is_the_rule(void **state)
{
	static const int reads[] = { 0, -ENOENT, -EBADMSG, -EIO };
	const struct block_owner mine = { .uuid = { 1 }, .epoch = 5 };
	unsigned taken = 0;

	(void)state;
	for (int lock = 0; lock <= BLOCK_OWN_LOCK_ELSEWHERE; lock++) {
		for (unsigned i = 0; i < 4; i++) {
			for (uint64_t epoch = 4; epoch <= 7; epoch++) {
				for (int way = 0; way < 4; way++) {
					struct block_record r = { .owner = mine };
					bool self = way & 1, ours, held;
					enum block_own got;

					r.owner.epoch = epoch;
					r.owner.uuid[0] = way & 2 ? 2 : 1;
					got = block_own_judge((enum block_own_lock)lock, reads[i],
						&r, self, &mine);
					held = lock != BLOCK_OWN_LOCK_ELSEWHERE;
					ours = !(way & 2) && (epoch == 5 || (self && epoch == 6));
					taken += got == BLOCK_OWN_TAKEN;
					if (got == BLOCK_OWN_TAKEN)
						assert_true(held && ((reads[i] == 0 && ours) ||
									    (reads[i] == -ENOENT &&
										    lock == 0)));
					if (reads[i] == 0)
						assert_int_equal(got == BLOCK_OWN_DENIED, !ours);
				}
			}
		}
	}
	assert_true(taken > 0);
}

static void test_a_record_is_exactly_what_is_written(void **state)
{
	struct block_record r = {
		.owner = { .guest = "bird", .epoch = UINT64_MAX }, .host = "here", .process = 42
	};
	char text[BLOCK_RECORD_SIZE];
	struct block_record got;

	(void)state;
	assert_int_equal(uuid_make(r.owner.uuid), 0);
	block_record_format(text, &r);
	assert_true(block_record_parse(text, sizeof(text), &got));
	assert_memory_equal(&got.owner.uuid, &r.owner.uuid, UUID_SIZE);
	assert_true(got.owner.epoch == UINT64_MAX);
	assert_string_equal(got.host, "here");
	for (size_t len = 0; len < sizeof(text); len++)
		assert_false(block_record_parse(text, len, &got));
	for (size_t i = 0; i < sizeof(text); i++) {
		char was = text[i];

		text[i] = '\x1b';
		assert_false(block_record_parse(text, sizeof(text), &got));
		text[i] = was;
	}
}

/* What a reader of numbers would let through, and what would break the line that a message quotes.
 */
static void test_a_record_has_one_spelling(void **state)
{
#define BEGIN "{\"guest\":\"bird\",\"uuid\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"epoch\":"
	static const char *const good = BEGIN "1,\"host\":\"here\",\"process\":1}";
	static const char *const bad[] = {
		BEGIN "-1,\"host\":\"here\",\"process\":1}",
		BEGIN "+1,\"host\":\"here\",\"process\":1}",
		BEGIN " 1,\"host\":\"here\",\"process\":1}",
		BEGIN "01,\"host\":\"here\",\"process\":1}",
		BEGIN "18446744073709551616,\"host\":\"here\",\"process\":1}",
		BEGIN "1,\"host\":\"here\",\"process\":4294967297}",
		BEGIN "1,\"host\":\"he\nre\",\"process\":1}",
		BEGIN "1,\"host\":\"here\",\"process\":1}}",
	};
#undef BEGIN
	char text[BLOCK_RECORD_SIZE];
	struct block_record got;

	(void)state;
	for (unsigned i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		const char *begin = i ? bad[i - 1] : good;

		memset(text, ' ', sizeof(text));
		memcpy(text, begin, strlen(begin));
		text[sizeof(text) - 1] = '\n';
		assert_int_equal(block_record_parse(text, sizeof(text), &got), i == 0);
	}
}

int main(void)
{
#define OWN_TEST(f) cmocka_unit_test_setup_teardown(f, rig_init, rig_fini)
	const struct CMUnitTest tests[] = {
		OWN_TEST(test_the_owner_changes_once),
		OWN_TEST(test_an_epoch_that_moved_on_is_denied_with_or_without_the_lock),
		OWN_TEST(test_a_record_that_is_gone),
		OWN_TEST(test_what_is_no_record_is_no_answer),
		OWN_TEST(test_an_end_takes_away_only_its_own_record),
		cmocka_unit_test(test_the_judgement_is_the_rule),
		cmocka_unit_test(test_a_record_is_exactly_what_is_written),
		cmocka_unit_test(test_a_record_has_one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
