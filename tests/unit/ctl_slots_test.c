/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host's places for moves: as many as are allowed at once, in the order of asking, none lost with
 * a process that dies; and who is frozen is given way to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hv/ctl/giveway.h"
#include "hv/ctl/lockfile.h"
#include "hv/ctl/turn.h"
#include "hv/migrate/cancel.h"

static int dir_setup(void **state)
{
	char *dir = strdup("/tmp/ctl-slots-XXXXXX");

	*state = dir;
	return mkdtemp(dir) ? setenv("WATARI_RUNTIME_DIR", dir, 1) : -1;
}

/* Nothing is left behind: then rmdir() works. */
static int dir_teardown(void **state)
{
	int rc = rmdir(*state);

	free(*state);
	return rc;
}

static int stand(struct ctl_slot *s, const char *dir, unsigned most, const char *what)
{
	struct err e = { 0 };
	int rc = ctl_slot_open(s, dir, CTL_OUT, most, what, &e);

	assert_true(rc >= 0);
	return rc;
}

static int look(struct ctl_slot *s, char *waits)
{
	struct err e = { 0 };

	return ctl_slot_look(s, waits, &e);
}

static void as_many_as_allowed_have_a_place_and_the_next_one_hears_who(void **state)
{
	struct ctl_slot a, b, c;
	char waits[CTL_SLOTS_TEXT];

	assert_int_equal(stand(&a, *state, 2, "guest bird to x:1"), 1);
	assert_int_equal(stand(&b, *state, 2, "guest fish to y:2"), 1);
	assert_int_equal(stand(&c, *state, 2, "guest cat to x:1"), 0);
	assert_int_equal(look(&c, waits), 0);
	assert_string_equal(waits,
		"2 moves of this host, as many as may go at once: guest bird to x:1, guest fish to y:2");
	ctl_slot_close(&a);
	assert_int_equal(look(&c, waits), 1);
	ctl_slot_close(&b);
	ctl_slot_close(&c);
}

static void the_ways_do_not_share_places(void **state)
{
	struct ctl_slot out, in;
	struct err e = { 0 };

	assert_int_equal(stand(&out, *state, 1, "out"), 1);
	assert_int_equal(ctl_slot_open(&in, *state, CTL_IN, 1, "in", &e), 1);
	ctl_slot_close(&out);
	ctl_slot_close(&in);
}

static void who_came_first_goes_first(void **state)
{
	struct ctl_slot a, b, c;
	char waits[CTL_SLOTS_TEXT];

	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	assert_int_equal(stand(&b, *state, 1, "b"), 0);
	assert_int_equal(stand(&c, *state, 1, "c"), 0);
	ctl_slot_close(&a);
	assert_int_equal(look(&c, waits), 0);
	assert_non_null(strstr(waits, "; 1 before it in line"));
	assert_int_equal(look(&b, waits), 1);
	ctl_slot_close(&b);
	assert_int_equal(look(&c, waits), 1);
	ctl_slot_close(&c);
}

/* Who allows more at once takes a place that the older ones in line would not. */
static void a_higher_limit_passes_only_into_places_of_its_own(void **state)
{
	struct ctl_slot a, b, c;

	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	assert_int_equal(stand(&b, *state, 1, "b"), 0);
	assert_int_equal(stand(&c, *state, 2, "c"), 1);
	assert_string_equal(c.place, ".out.1");
	ctl_slot_close(&a);
	assert_int_equal(look(&b, NULL), 1);
	ctl_slot_close(&b);
	ctl_slot_close(&c);
}

static void who_gives_up_makes_room_in_line(void **state)
{
	struct ctl_slot a, b, c;

	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	assert_int_equal(stand(&b, *state, 1, "b"), 0);
	assert_int_equal(stand(&c, *state, 1, "c"), 0);
	ctl_slot_close(&b);
	ctl_slot_close(&a);
	assert_int_equal(look(&c, NULL), 1);
	ctl_slot_close(&c);
}

/* A process that has a place, or stands in line for one, and is killed there. */
static void kill_one(const char *dir, int expect)
{
	int pipe_fd[2], status;
	struct ctl_slot s;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		byte = (char)stand(&s, dir, 1, "dead");
		(void)!write(pipe_fd[1], &byte, 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
	assert_int_equal(byte, expect);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void the_dead_hold_no_place_and_no_one_up(void **state)
{
	struct ctl_slot a, b;

	kill_one(*state, 1);
	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	kill_one(*state, 0);
	assert_int_equal(stand(&b, *state, 1, "b"), 0);
	ctl_slot_close(&a);
	assert_int_equal(look(&b, NULL), 1); /* also: the dead one's ticket is removed */
	ctl_slot_close(&b);
}

static void files_that_are_no_tickets_are_passed_over(void **state)
{
	static const char *const names[] = { ".out.wait.", ".out.wait.1", ".out.wait.00x.1.1",
		".out.waiter", "bird.lock" };
	struct ctl_slot a;
	int dir = open(*state, O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		close(openat(dir, names[i], O_CREAT | O_WRONLY, 0600));
	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	ctl_slot_close(&a);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(unlinkat(dir, names[i], 0), 0);
	close(dir);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void heard(void *arg, const char *waits)
{
	snprintf(arg, CTL_SLOTS_TEXT, "%s", waits);
}

static void a_turn_that_may_not_wait_says_for_what_it_would(void **state)
{
	char said[CTL_SLOTS_TEXT] = "";
	int cancel = MIG_UNDECIDED;
	struct ctl_turn t = { .wish = { .most = 1, .no_wait = true },
		.what = "guest cat",
		.slot = CTL_SLOT_NONE,
		.giveway = { -1, -1 },
		.say = heard,
		.arg = said,
		.cancel = &cancel };
	struct ctl_slot a;
	struct err e = { 0 };
	int rc = -EUSERS;

	assert_int_equal(stand(&a, *state, 1, "guest bird to x:1"), 1);
	assert_int_equal(ctl_turn_begin(&t, &e), -EUSERS);
	assert_non_null(strstr(e.msg, "guest bird to x:1"));
	assert_false(ctl_turn_again(&t, &rc, &e)); /* a busy target is not waited for either */
	assert_int_equal(rc, -EUSERS);
	ctl_slot_close(&a);
}

/* The turn of a guest that waits, may be cancelled, and says in @said what for. */
static struct ctl_turn cat_turn(char *said, int *cancel)
{
	return (struct ctl_turn){ .wish = { .most = 1 },
		.what = "guest cat",
		.slot = CTL_SLOT_NONE,
		.giveway = { -1, -1 },
		.say = heard,
		.arg = said,
		.cancel = cancel };
}

static void a_turn_that_is_cancelled_leaves_the_line(void **state)
{
	char said[CTL_SLOTS_TEXT] = "";
	int cancel = MIG_CANCELLED, rc = -EUSERS;
	struct ctl_turn t = cat_turn(said, &cancel);
	struct ctl_slot a;
	struct err e = { 0 };

	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	assert_int_equal(ctl_turn_begin(&t, &e), 0);
	assert_int_equal(ctl_turn_take(&t, &e), -ECANCELED);
	err_set(&e, -EUSERS, "the target is busy");
	assert_false(ctl_turn_again(&t, &rc, &e));
	assert_int_equal(rc, -ECANCELED);
	assert_string_equal(said, "the target is busy");
	ctl_slot_close(&a);
}

static void a_busy_target_is_asked_again_and_the_place_is_free_meanwhile(void **state)
{
	char said[CTL_SLOTS_TEXT] = "";
	int cancel = MIG_UNDECIDED, rc = -EUSERS;
	struct ctl_turn t = cat_turn(said, &cancel);
	struct ctl_slot a;
	struct err e = { 0 };

	assert_int_equal(ctl_turn_begin(&t, &e), 0);
	assert_int_equal(ctl_turn_take(&t, &e), 0);
	ctl_turn_end(&t);
	err_set(&e, -EUSERS, "the target is busy");
	assert_true(ctl_turn_again(&t, &rc, &e));
	assert_int_equal(stand(&a, *state, 1, "a"), 1);
	ctl_slot_close(&a);
	assert_int_equal(ctl_turn_take(&t, &e), 0);
	assert_string_equal(said, "");
	ctl_turn_end(&t);
}

/* ---- giving way ------------------------------------------------------------------------------ */

static void the_frozen_are_seen_by_the_others_alone(void **state)
{
	int dir = open(*state, O_RDONLY | O_DIRECTORY);
	struct ctl_giveway a, b, c;

	ctl_giveway_open(&a, dir);
	ctl_giveway_open(&b, dir);
	ctl_giveway_open(&c, dir);
	assert_false(ctl_giveway_asked(&a));
	ctl_giveway_frozen(&a, true);
	assert_false(ctl_giveway_asked(&a));
	assert_true(ctl_giveway_asked(&b));
	ctl_giveway_frozen(&b, true);
	ctl_giveway_frozen(&a, false);
	assert_true(ctl_giveway_asked(&c));
	assert_true(ctl_giveway_asked(&a));
	ctl_giveway_close(&b); /* as it ends with its process */
	assert_false(ctl_giveway_asked(&c));
	ctl_giveway_close(&a);
	ctl_giveway_close(&c);
	close(dir);
}

int main(void)
{
#define DIR_TEST(f) cmocka_unit_test_setup_teardown(f, dir_setup, dir_teardown)
	const struct CMUnitTest tests[] = {
		DIR_TEST(as_many_as_allowed_have_a_place_and_the_next_one_hears_who),
		DIR_TEST(the_ways_do_not_share_places),
		DIR_TEST(who_came_first_goes_first),
		DIR_TEST(a_higher_limit_passes_only_into_places_of_its_own),
		DIR_TEST(who_gives_up_makes_room_in_line),
		DIR_TEST(the_dead_hold_no_place_and_no_one_up),
		DIR_TEST(files_that_are_no_tickets_are_passed_over),
		DIR_TEST(a_turn_that_may_not_wait_says_for_what_it_would),
		DIR_TEST(a_turn_that_is_cancelled_leaves_the_line),
		DIR_TEST(a_busy_target_is_asked_again_and_the_place_is_free_meanwhile),
		DIR_TEST(the_frozen_are_seen_by_the_others_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
