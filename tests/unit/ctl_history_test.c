/* SPDX-License-Identifier: Apache-2.0 */
/* Every move leaves a whole line, whoever writes at the same time, and the files stay bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/ctl/history.h"
#include "hv/ctl/proto.h"

static const struct mig_result result = { .total_ns = 1,
	.rounds = 2,
	.sent_bytes = 3,
	.goodput = 4,
	.blackout = { .total_ns = 5 },
	.transport = "tcp",
	.committed = true };
static const struct mig_result stayed = { .total_ns = 1 };

struct place {
	char root[64], dir[96], file[128], old[136];
};

static int place_setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->root, "/tmp/ctl-history-XXXXXX");
	if (!mkdtemp(p->root))
		return -1;
	snprintf(p->dir, sizeof(p->dir), "%s/state", p->root);
	snprintf(p->file, sizeof(p->file), "%s/" HISTORY_FILE, p->dir);
	snprintf(p->old, sizeof(p->old), "%s.1", p->file);
	*state = p;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	unlink(p->old);
	rmdir(p->dir);
	rmdir(p->root);
	free(p);
	return 0;
}

static struct history_move move_of(const char *guest)
{
	return (struct history_move){ .guest = guest,
		.leaving = true,
		.from = "here",
		.to = "there:1",
		.real_ns = 1700000000123456789ull,
		.result = &result };
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static void a_line_says_who_where_when_and_every_figure(void **state)
{
	struct history_move m = move_of("bird");
	json_t *j = history_json(&m);
	struct mig_result got;
	struct err e = { 0 };

	(void)state;
	assert_string_equal(text_of(j, "guest"), "bird");
	assert_string_equal(text_of(j, "direction"), "out");
	assert_string_equal(text_of(j, "from"), "here");
	assert_string_equal(text_of(j, "to"), "there:1");
	assert_string_equal(text_of(j, "time"), "2023-11-14T22:13:20.123Z");
	assert_string_equal(text_of(j, "result"), "moved");
	assert_null(json_object_get(j, "error"));
	assert_int_equal(ctl_result_read(j, &got, &e), 0);
	assert_int_equal(got.blackout.total_ns, 5);
	json_decref(j);
}

static void each_ending_has_its_word(void **state)
{
	const struct mig_result doubt = { .in_doubt = true };
	const struct {
		bool leaving;
		int rc;
		const struct mig_result *r;
		const char *word;
	} endings[] = {
		{ true, 0, &result, "moved" },
		{ true, -ETIMEDOUT, &doubt, "in-doubt" },
		{ false, -EIO, &doubt, "in-doubt" },
		{ true, -ETIMEDOUT, &stayed, "failed" },
		{ true, -ECANCELED, &stayed, "cancelled" },
		{ false, 0, &result, "moved" },
		{ false, -EIO, &result, "failed" },
	};
	const struct err e = { .code = -EIO, .msg = "it rained" };

	(void)state;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		struct history_move m = move_of("bird");
		json_t *j;

		m.leaving = endings[i].leaving;
		m.rc = endings[i].rc;
		m.result = endings[i].r;
		m.err = &e;
		j = history_json(&m);
		assert_string_equal(text_of(j, "result"), endings[i].word);
		assert_string_equal(text_of(j, "direction"), m.leaving ? "out" : "in");
		assert_string_equal(text_of(j, "error"), m.rc ? "it rained" : "");
		json_decref(j);
	}
}

static void count(void *arg, const json_t *line)
{
	unsigned *n = arg;

	assert_string_equal(text_of(line, "to"), "there:1");
	(*n)++;
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void the_files_stay_bounded_and_keep_the_newest(void **state)
{
	struct place *p = *state;
	struct history_move m = move_of("bird");
	const size_t most = 4096;
	struct err e = { 0 };
	unsigned n = 0, bad;

	for (unsigned i = 0; i < 100; i++) {
		if (i == 99)
			m.guest = "last";
		assert_int_equal(history_append(p->dir, &m, most, &e), 0);
		assert_true(size_of(p->file) <= (off_t)most);
		assert_true(size_of(p->old) <= (off_t)most);
	}
	assert_true(size_of(p->old) > 0);
	assert_int_equal(history_read(p->dir, NULL, count, &n, &bad, &e), 0);
	assert_int_equal(bad, 0);
	assert_true(n > 5 && n < 100);
	n = 0;
	assert_int_equal(history_read(p->dir, "last", count, &n, &bad, &e), 0);
	assert_int_equal(n, 1);
}

struct writer {
	const struct place *p;
	size_t most;
	pthread_t thread;
};

static void *write_many(void *arg)
{
	struct writer *w = arg;
	struct history_move m = move_of("bird");
	struct err e = { 0 };

	for (unsigned i = 0; i < 200; i++) {
		if (history_append(w->p->dir, &m, w->most, &e))
			return "failed";
	}
	return NULL;
}

static void write_together(const struct place *p, size_t most, unsigned *n, unsigned *bad)
{
	struct writer w[4];
	struct err e = { 0 };
	void *failed;

	for (int i = 0; i < 4; i++) {
		w[i] = (struct writer){ .p = p, .most = most };
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_many, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, &failed);
		assert_null(failed);
	}
	*n = 0;
	assert_int_equal(history_read(p->dir, NULL, count, n, bad, &e), 0);
}

static void lines_of_several_writers_do_not_mix(void **state)
{
	unsigned n, bad;

	write_together(*state, HISTORY_MOST, &n, &bad);
	assert_int_equal(n, 800);
	assert_int_equal(bad, 0);
}

static void nor_do_they_while_the_file_is_turned_over(void **state)
{
	struct place *p = *state;
	unsigned n, bad;

	write_together(p, 8192, &n, &bad);
	assert_int_equal(bad, 0);
	assert_true(n > 0);
	/* whoever could not get the lock has appended to what it had: a line each */
	assert_true(size_of(p->file) <= 8192 + 4 * 1024);
	assert_true(size_of(p->old) <= 8192 + 4 * 1024);
}

static void what_cannot_be_written_is_a_sentence(void **state)
{
	struct place *p = *state;
	struct history_move m = move_of("bird");
	struct err e = { 0 };
	char dir[160];

	snprintf(dir, sizeof(dir), "%s/not/there", p->root);
	assert_true(history_append(dir, &m, HISTORY_MOST, &e) < 0);
	assert_non_null(strstr(e.msg, "cannot make the state directory"));
	assert_int_equal(history_append(p->dir, &m, HISTORY_MOST, &e), 0);
	/* a link is not followed out of the directory */
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(symlink("/dev/null", p->file), 0);
	assert_true(history_append(p->dir, &m, HISTORY_MOST, &e) < 0);
	assert_non_null(strstr(e.msg, HISTORY_FILE));
}

int main(void)
{
#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_who_where_when_and_every_figure),
		cmocka_unit_test(each_ending_has_its_word),
		PLACE_TEST(the_files_stay_bounded_and_keep_the_newest),
		PLACE_TEST(lines_of_several_writers_do_not_mix),
		PLACE_TEST(nor_do_they_while_the_file_is_turned_over),
		PLACE_TEST(what_cannot_be_written_is_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
