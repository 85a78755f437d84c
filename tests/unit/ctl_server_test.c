/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket answers whoever asks properly, and whoever does not cannot hold it up. One
 * thread plays both ends: the server only moves when the test turns its loop.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/ctl_stage.h"

struct stage {
	struct ctl_stage at;
	struct ctl_conn *held; /* the last that asked "wait" */
	int left, gone;
};

static void stage_request(void *arg, struct ctl_conn *c, const char *op, const json_t *request)
{
	struct stage *s = arg;

	if (strcmp(op, "wait") == 0) {
		s->held = c;
		ctl_conn_hold(c);
	} else if (strcmp(op, "big") == 0) {
		char *text = malloc(100001);

		memset(text, 'x', 100000);
		text[100000] = '\0';
		ctl_conn_answer(c, json_pack("{s:b,s:s}", "ok", 1, "text", text));
		free(text);
	} else {
		ctl_conn_answer(c, json_pack("{s:b,s:s,s:O?}", "ok", 1, "op", op, "n",
					   json_object_get(request, "n")));
	}
}

static void stage_leave(void *arg, struct ctl_conn *c, bool gone)
{
	struct stage *s = arg;

	if (c != s->held)
		return;
	s->left += !gone;
	s->gone += gone;
	if (gone)
		s->held = NULL;
}

static int stage_setup(void **state)
{
	static const struct ctl_server_ops ops = { .request = stage_request, .leave = stage_leave };
	struct stage *s = calloc(1, sizeof(*s));

	*state = s;
	return ctl_stage_init(&s->at, &ops, s);
}

static int stage_teardown(void **state)
{
	struct stage *s = *state;

	ctl_stage_fini(&s->at);
	free(s);
	return 0;
}

static void turn(struct stage *s)
{
	assert_true(ctl_stage_turn(&s->at));
}

static struct ctl_client *come(struct stage *s)
{
	struct ctl_client *c = ctl_stage_come(&s->at);

	assert_non_null(c);
	return c;
}

static void say(struct stage *s, struct ctl_client *c, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(send(ctl_client_fd(c), text, n, MSG_NOSIGNAL), n);
	turn(s);
}

/* The next line as text; "" if there is none, "gone" if the server hung up. */
static const char *hear(struct stage *s, struct ctl_client *c)
{
	static char text[512];
	char *full;
	json_t *j;
	int rc = ctl_stage_hear(&s->at, c, &j);

	if (rc <= 0)
		return rc == 0 ? "" : "gone";
	full = json_dumps(j, JSON_COMPACT);
	snprintf(text, sizeof(text), "%s", full);
	free(full);
	json_decref(j);
	return text;
}

static void a_request_is_answered(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	say(s, c, "{\"op\":\"hello\",\"n\":1}\n");
	assert_string_equal(hear(s, c), "{\"ok\":true,\"op\":\"hello\",\"n\":1}");
	assert_string_equal(hear(s, c), "");
	ctl_client_close(c);
}

static void a_request_may_come_in_pieces(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	for (const char *p = "{\"op\":\"slow\"}"; *p; p++) {
		char one[2] = { *p, '\0' };

		say(s, c, one);
		assert_string_equal(hear(s, c), "");
	}
	say(s, c, "\n");
	assert_non_null(strstr(hear(s, c), "slow"));
	ctl_client_close(c);
}

static void garbage_is_answered_and_forgiven(void **state)
{
	static const char *const garbage[] = { "\n", "what\n", "[]\n", "{}\n", "{\"op\":1}\n",
		"{\"op\":\"a\",\"op\":\"b\"}\n", "\x80\xff\n", "{\"op\":\"x\"} {}\n" };
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		say(s, c, garbage[i]);
		assert_non_null(strstr(hear(s, c), "\"ok\":false"));
	}
	say(s, c, "{\"op\":\"hello\"}\n");
	assert_non_null(strstr(hear(s, c), "\"ok\":true"));
	ctl_client_close(c);
}

static void too_long_a_request_ends_the_connection(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	char *line = malloc(CTL_LINE_MAX + 1);

	memset(line, ' ', CTL_LINE_MAX);
	line[CTL_LINE_MAX] = '\0';
	say(s, c, line);
	assert_non_null(strstr(hear(s, c), "longer than"));
	assert_string_equal(hear(s, c), "gone");
	ctl_client_close(c);
	free(line);
}

static void the_longest_request_is_understood(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	char *line = malloc(CTL_LINE_MAX + 1);

	memset(line, ' ', CTL_LINE_MAX);
	memcpy(line, "{\"op\":\"x\"}", 10);
	line[CTL_LINE_MAX - 1] = '\n';
	line[CTL_LINE_MAX] = '\0';
	say(s, c, line);
	assert_non_null(strstr(hear(s, c), "\"ok\":true"));
	ctl_client_close(c);
	free(line);
}

static void many_requests_at_once_are_answered_in_order(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	char want[64];

	for (int i = 0; i < 200; i++) {
		char line[64];

		snprintf(line, sizeof(line), "{\"op\":\"q\",\"n\":%d}\n", i);
		assert_true(send(ctl_client_fd(c), line, strlen(line), 0) > 0);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(want, sizeof(want), "{\"ok\":true,\"op\":\"q\",\"n\":%d}", i);
		assert_string_equal(hear(s, c), want);
	}
	ctl_client_close(c);
}

/* The socket's buffer is far smaller than the answers: the server must wait for the reader. */
static void a_reader_that_is_behind_gets_everything_in_the_end(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	int lines = 0;

	for (int i = 0; i < 50; i++)
		say(s, c, "{\"op\":\"big\"}\n");
	for (int i = 0; i < 1000 && lines < 50; i++)
		lines += strstr(hear(s, c), "\"ok\":true") != NULL;
	assert_int_equal(lines, 50);
	ctl_client_close(c);
}

static void events_a_reader_is_too_slow_for_are_dropped(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	const char *line;
	int events = 0;

	say(s, c, "{\"op\":\"wait\"}\n");
	for (int i = 0; i < 100000; i++)
		ctl_conn_event(s->held, json_pack("{s:s}", "event", "progress"));
	ctl_conn_answer(s->held, ctl_ok());
	while (strstr(line = hear(s, c), "event"))
		events++;
	assert_string_equal(line, "{\"ok\":true}");
	assert_in_range(events, 1, 99999);
	ctl_client_close(c);
}

static void one_request_at_a_time(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	say(s, c, "{\"op\":\"wait\"}\n");
	say(s, c, "{\"op\":\"hello\"}\n");
	assert_non_null(strstr(hear(s, c), "not answered yet"));
	ctl_conn_answer(s->held, ctl_ok());
	assert_string_equal(hear(s, c), "{\"ok\":true}");
	ctl_client_close(c);
}

static void half_a_close_is_news_and_the_answer_still_arrives(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	say(s, c, "{\"op\":\"wait\"}\n");
	ctl_client_give_up(c);
	turn(s);
	assert_int_equal(s->left, 1);
	assert_int_equal(s->gone, 0);
	ctl_conn_answer(s->held, ctl_ok());
	assert_string_equal(hear(s, c), "{\"ok\":true}");
	assert_string_equal(hear(s, c), "gone");
	assert_int_equal(s->gone, 0);
	ctl_client_close(c);
}

static void a_held_client_that_vanishes_is_reported(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	say(s, c, "{\"op\":\"wait\"}\n");
	ctl_client_close(c);
	turn(s);
	assert_int_equal(s->gone, 1);
	assert_null(s->held);
}

/* As `printf ... | socat -` does: ask, and close at once. */
static void a_request_of_one_who_left_is_still_done(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);
	const char *line = "{\"op\":\"wait\"}\n";

	assert_true(send(ctl_client_fd(c), line, strlen(line), 0) > 0);
	ctl_client_close(c);
	turn(s);
	assert_int_equal(s->gone, 1);
}

static void the_longest_idle_makes_room(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c[CTL_CLIENTS_MAX + 2];

	c[0] = come(s);
	say(s, c[0], "{\"op\":\"wait\"}\n"); /* the oldest, but it waits for something */
	for (int i = 1; i < CTL_CLIENTS_MAX + 2; i++) {
		c[i] = come(s);
		say(s, c[i], "{\"op\":\"hello\"}\n");
		assert_non_null(strstr(hear(s, c[i]), "\"ok\":true"));
	}
	assert_string_equal(hear(s, c[1]), "gone");
	assert_string_equal(hear(s, c[2]), "gone");
	assert_string_equal(hear(s, c[3]), "");
	ctl_conn_answer(s->held, ctl_ok());
	assert_string_equal(hear(s, c[0]), "{\"ok\":true}");
	for (int i = 0; i < CTL_CLIENTS_MAX + 2; i++)
		ctl_client_close(c[i]);
}

static void draining_ends_though_a_reader_does_not_read(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s);

	for (int i = 0; i < 20; i++)
		say(s, c, "{\"op\":\"big\"}\n");
	ctl_server_drain(s->at.server, 50);
	assert_non_null(strstr(hear(s, c), "\"ok\":true"));
	ctl_client_close(c);
}

static void behind_a_closed_door_the_present_are_served(void **state)
{
	struct stage *s = *state;
	struct ctl_client *c = come(s), *late;
	struct err e;

	ctl_server_close_door(s->at.server);
	assert_int_equal(ctl_client_open(&late, s->at.dir, "g", &e), -ECONNREFUSED);
	say(s, c, "{\"op\":\"hello\"}\n");
	assert_non_null(strstr(hear(s, c), "hello"));
	ctl_client_close(c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered),
		TEST(a_request_may_come_in_pieces),
		TEST(garbage_is_answered_and_forgiven),
		TEST(too_long_a_request_ends_the_connection),
		TEST(the_longest_request_is_understood),
		TEST(many_requests_at_once_are_answered_in_order),
		TEST(a_reader_that_is_behind_gets_everything_in_the_end),
		TEST(events_a_reader_is_too_slow_for_are_dropped),
		TEST(one_request_at_a_time),
		TEST(half_a_close_is_news_and_the_answer_still_arrives),
		TEST(a_held_client_that_vanishes_is_reported),
		TEST(a_request_of_one_who_left_is_still_done),
		TEST(the_longest_idle_makes_room),
		TEST(draining_ends_though_a_reader_does_not_read),
		TEST(behind_a_closed_door_the_present_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
