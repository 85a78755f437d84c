/* SPDX-License-Identifier: Apache-2.0 */
/* A name belongs to one living process; what a dead one left behind is recognised and removed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/ctl/claim.h"
#include "hv/ctl/client.h"

struct place {
	char root[64], dir[400];
};

static int place_setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->root, "/tmp/ctl-claim-XXXXXX");
	if (!mkdtemp(p->root))
		return -1;
	/* longer than a socket address can be */
	snprintf(p->dir, sizeof(p->dir), "%s/%0200d", p->root, 7);
	*state = p;
	return 0;
}

static unsigned place_files(const struct place *p)
{
	DIR *d = opendir(p->dir);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n < 2 ? 0 : n - 2;
}

static int place_teardown(void **state)
{
	struct place *p = *state;
	int rc = 0;

	if (place_files(p))
		rc = -1; /* every test cleans up by the means it tests */
	rmdir(p->dir);
	rmdir(p->root);
	free(p);
	return rc;
}

static void a_name_is_taken_once(void **state)
{
	struct place *p = *state;
	struct ctl_claim one, two;
	struct err e;

	assert_int_equal(ctl_claim_take(&one, p->dir, "guest", &e), 0);
	assert_int_equal(ctl_claim_take(&two, p->dir, "guest", &e), -EEXIST);
	assert_non_null(strstr(e.msg, "guest"));
	ctl_claim_drop(&two); /* a claim that failed is harmless */
	assert_int_equal(ctl_claim_take(&two, p->dir, "other", &e), 0);
	ctl_claim_drop(&one);
	assert_int_equal(ctl_claim_take(&one, p->dir, "guest", &e), 0);
	ctl_claim_drop(&one);
	ctl_claim_drop(&two);
	assert_int_equal(place_files(p), 0);
}

static void directory_and_socket_are_private(void **state)
{
	struct place *p = *state;
	char path[512];
	struct ctl_claim c;
	struct stat st;
	struct err e;
	int fd;

	assert_int_equal(ctl_claim_take(&c, p->dir, "guest", &e), 0);
	fd = ctl_claim_listen(&c, &e);
	assert_true(fd >= 0);
	assert_int_equal(stat(p->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/guest.sock", p->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	ctl_claim_drop(&c);
	assert_int_equal(place_files(p), 0);
}

/* What kill -9 leaves: both files, no lock, nobody listening. */
static void leave_stale(struct place *p, const char *name)
{
	char path[512];
	struct ctl_claim c;
	struct err e;
	int fd;

	assert_int_equal(ctl_claim_take(&c, p->dir, name, &e), 0);
	fd = ctl_claim_listen(&c, &e);
	assert_true(fd >= 0);
	close(fd);
	close(c.lock_fd);
	close(c.dir_fd);
	snprintf(path, sizeof(path), "%s/%s.sock", p->dir, name);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_stale_socket_gives_way(void **state)
{
	struct place *p = *state;
	struct ctl_claim c;
	struct err e;
	int fd;

	leave_stale(p, "guest");
	assert_int_equal(ctl_claim_take(&c, p->dir, "guest", &e), 0);
	fd = ctl_claim_listen(&c, &e);
	assert_true(fd >= 0);
	close(fd);
	ctl_claim_drop(&c);
}

static void somebody_who_listens_without_a_lock_is_respected(void **state)
{
	struct place *p = *state;
	struct ctl_claim c, other;
	struct err e;
	char path[512];
	int fd;

	assert_int_equal(ctl_claim_take(&c, p->dir, "guest", &e), 0);
	fd = ctl_claim_listen(&c, &e);
	assert_true(fd >= 0);
	close(c.lock_fd); /* the lock is gone, the listener is not */
	assert_int_equal(ctl_claim_take(&other, p->dir, "guest", &e), -EEXIST);
	snprintf(path, sizeof(path), "%s/guest.sock", p->dir);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	close(c.dir_fd);
	assert_int_equal(ctl_claim_take(&c, p->dir, "guest", &e), 0);
	ctl_claim_drop(&c);
}

static void the_list_shows_the_living_and_removes_the_dead(void **state)
{
	struct place *p = *state;
	struct ctl_claim b, a;
	struct err e;
	char **names;
	size_t n;
	int fb, fa;

	assert_int_equal(ctl_list(p->dir, &names, &n, &e), 0); /* no directory yet */
	assert_int_equal(n, 0);
	leave_stale(p, "dead");
	assert_int_equal(ctl_claim_take(&b, p->dir, "b", &e), 0);
	fb = ctl_claim_listen(&b, &e);
	assert_int_equal(ctl_claim_take(&a, p->dir, "a", &e), 0);
	fa = ctl_claim_listen(&a, &e);
	assert_int_equal(place_files(p), 6);
	assert_int_equal(ctl_list(p->dir, &names, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	ctl_list_free(names, n);
	assert_int_equal(place_files(p), 4);
	close(fa);
	close(fb);
	ctl_claim_drop(&a);
	ctl_claim_drop(&b);
}

static void a_guest_that_is_starting_is_not_swept_away(void **state)
{
	struct place *p = *state;
	struct ctl_claim c;
	struct err e;
	char **names;
	size_t n;
	int fd;

	assert_int_equal(ctl_claim_take(&c, p->dir, "guest", &e), 0);
	fd = ctl_claim_listen(&c, &e);
	assert_true(fd >= 0);
	close(fd); /* refuses connections, but its owner lives and holds the lock */
	assert_int_equal(ctl_list(p->dir, &names, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(place_files(p), 2);
	ctl_claim_drop(&c);
}

static void bad_names_and_bad_directories_are_refused(void **state)
{
	struct place *p = *state;
	char path[600];
	struct ctl_claim c;
	struct err e;

	assert_int_equal(ctl_claim_take(&c, p->dir, "../evil", &e), -EINVAL);
	assert_int_equal(ctl_claim_take(&c, p->dir, "", &e), -EINVAL);
	snprintf(path, sizeof(path), "%s/not/there", p->root);
	assert_int_equal(ctl_claim_take(&c, path, "guest", &e), -ENOENT);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ctl_claim_take(&c, path, "guest", &e), -ENAMETOOLONG);
}

static void asking_a_guest_that_is_not_there_says_so(void **state)
{
	struct place *p = *state;
	struct ctl_claim c;
	struct err e;

	assert_int_equal(ctl_ask(p->dir, "nobody", "status", NULL, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "nobody"));
	leave_stale(p, "dead");
	assert_int_equal(ctl_ask(p->dir, "dead", "status", NULL, &e), -ECONNREFUSED);
	assert_non_null(strstr(e.msg, "dead"));
	assert_int_equal(ctl_ask(p->dir, "../x", "status", NULL, &e), -EINVAL);
	assert_int_equal(ctl_claim_take(&c, p->dir, "dead", &e), 0);
	ctl_claim_drop(&c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_is_taken_once),
		TEST(directory_and_socket_are_private),
		TEST(a_stale_socket_gives_way),
		TEST(somebody_who_listens_without_a_lock_is_respected),
		TEST(the_list_shows_the_living_and_removes_the_dead),
		TEST(a_guest_that_is_starting_is_not_swept_away),
		TEST(bad_names_and_bad_directories_are_refused),
		TEST(asking_a_guest_that_is_not_there_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
