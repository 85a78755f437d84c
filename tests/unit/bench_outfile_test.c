/* SPDX-License-Identifier: Apache-2.0 */
/* Results reach their file whole or not at all, and it is said why not: bench/outfile.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/outfile.h"
#include "bench/plot.h"

static char dir[] = "/tmp/outfile-test.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void what_is_written_is_whole(void **state)
{
	json_t *j = json_pack("{s:i}", "seven", 7), *back;
	const char *path = in_dir("r.json");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(outfile_json(j, path, &e), 0);
	back = json_load_file(path, 0, NULL);
	assert_true(json_equal(j, back));
	json_decref(back);
	json_decref(j);
	unlink(path);
}

static void a_full_disk_is_named_and_stays_what_it_is(void **state)
{
	json_t *j = json_pack("{s:i}", "seven", 7);
	struct err e = { 0 };
	struct stat st;

	(void)state;
	assert_int_equal(outfile_json(j, "/dev/full", &e), -ENOSPC);
	assert_string_equal(e.msg, "cannot write /dev/full: No space left on device");
	assert_int_equal(stat("/dev/full", &st), 0);
	json_decref(j);
}

/* As on a disk that fills up on the way: a limit of a file's size stands in for it. */
static void half_a_file_is_removed(void **state)
{
	const char *path = in_dir("half.json");
	struct rlimit old, small;
	json_t *j = json_array();
	struct err e = { 0 };
	int rc;

	(void)state;
	for (int i = 0; i < 10000; i++)
		json_array_append_new(j, json_integer(i));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ 8192, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = outfile_json(j, path, &e);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(rc, -EFBIG);
	assert_non_null(strstr(e.msg, path));
	assert_int_equal(access(path, F_OK), -1);
	json_decref(j);
}

static void an_error_before_keeps_its_words(void **state)
{
	const char *path = in_dir("page.html");
	struct err e = { 0 };

	(void)state;
	err_set(&e, -EPROTO, "first");
	assert_int_equal(outfile_close(fopen(path, "w"), path, -EPROTO, &e), -EPROTO);
	assert_string_equal(e.msg, "first");
	assert_int_equal(access(path, F_OK), -1);
}

static void a_look_ahead_changes_nothing(void **state)
{
	const char *path = in_dir("kept");
	struct err e = { 0 };
	FILE *f = fopen(path, "w");
	struct stat st;

	(void)state;
	fputs("old results", f);
	fclose(f);
	assert_int_equal(outfile_check("json", path, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 11);
	unlink(path);
	assert_int_equal(outfile_check("json", path, &e), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(outfile_check("json", "-", &e), 0);
	assert_int_equal(outfile_check("html", in_dir("none/x.html"), &e), -ENOENT);
	assert_non_null(strstr(e.msg, "--html: "));
	assert_non_null(strstr(e.msg, "none/x.html cannot be written: No such file"));
	assert_int_equal(outfile_check("json", dir, &e), -EISDIR);
}

static void without_gnuplot_it_is_told_which_package_has_it(void **state)
{
	char *old = strdup(getenv("PATH"));
	struct err e = { 0 };

	(void)state;
	setenv("PATH", dir, 1);
	assert_int_equal(plot_ready(&e), -ENOENT);
	setenv("PATH", old, 1);
	free(old);
	assert_non_null(strstr(e.msg, "--html"));
	assert_non_null(strstr(e.msg, "gnuplot-nox"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_whole),
		cmocka_unit_test(a_full_disk_is_named_and_stays_what_it_is),
		cmocka_unit_test(half_a_file_is_removed),
		cmocka_unit_test(an_error_before_keeps_its_words),
		cmocka_unit_test(a_look_ahead_changes_nothing),
		cmocka_unit_test(without_gnuplot_it_is_told_which_package_has_it),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
