/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ib_write_bw at two ends that know each other by a socket: bench/perftest.h. A script stands in
 * for the program: with a host as its last word it is the client, without one the server.
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
#include <sys/wait.h>
#include <unistd.h>

#include "bench/line.h"
#include "bench/perftest.h"
#include "bench/tool.h"
#include "hv/base/clock.h"

/* As version 6.06 prints it. */
static const char said[] =
	"---------------------------------------------------------------------------------------\n"
	"                    RDMA_Write BW Test\n"
	" Dual-port       : OFF\t\tDevice         : rxe0\n"
	" Number of qps   : 1\t\tTransport type : IB\n"
	" Mtu             : 1024[B]\n"
	"---------------------------------------------------------------------------------------\n"
	" local address: LID 0000 QPN 0x0012 PSN 0xb2a1b4\n"
	" GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:77:00:01\n"
	"---------------------------------------------------------------------------------------\n"
	" #bytes     #iterations    BW peak[MiB/sec]    BW average[MiB/sec]   MsgRate[Mpps]\n"
	" 65536      1000             26.50              25.50 \t\t   0.000414\n"
	"---------------------------------------------------------------------------------------\n";

static char dir[] = "/tmp/perftest-test.XXXXXX";
static char *path; /* as it was */

static void write_file(const char *name, const char *text, mode_t mode)
{
	char file[96];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "w");
	fputs(text, f);
	fclose(f);
	chmod(file, mode);
}

static void read_file(const char *name, char *text, size_t n)
{
	char file[96];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "r");
	assert_non_null(f);
	text[fread(text, 1, n - 1, f)] = '\0';
	fclose(f);
}

static int set_up(void **state)
{
	char both[256];

	(void)state;
	path = strdup(getenv("PATH"));
	if (!mkdtemp(dir))
		return -1;
	snprintf(both, sizeof(both), "%s:%s", dir, path);
	setenv("PATH", both, 1);
	setenv("FAKE", dir, 1);
	return 0;
}

static int tear_down(void **state)
{
	char command[96];

	(void)state;
	setenv("PATH", path, 1);
	free(path);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* The far end as a child of this process. */
static pid_t far_end(int *fd)
{
	char line[LINE_MAX_BYTES];
	struct err e = { 0 };
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		if (line_hear(pair[1], line, &e) == 0)
			perftest_serve(pair[1], "127.0.0.1", line, &e);
		_exit(e.code ? 1 : 0);
	}
	close(pair[1]);
	*fd = pair[0];
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void the_average_is_read_in_mib(void **state)
{
	struct err e = { 0 };
	double v = 0;

	(void)state;
	assert_int_equal(perftest_parse(said, 65536, &v, &e), 0);
	assert_true(v == 25.5 * 1048576);
	assert_int_equal(perftest_parse(said, 4096, &v, &e), -EPROTO);
	assert_int_equal(perftest_parse("", 4096, &v, &e), -EPROTO);
	assert_int_equal(perftest_parse(" 65536 1000 0.00 0.00\n", 65536, &v, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "65536"));
}

static void a_line_is_numbers_within_bounds(void **state)
{
	static const char *const bad[] = { "perftest", "perftest 65536 1", "perftest 4095 1 5",
		"perftest 2097152 1 5", "perftest 65536 0 5", "perftest 65536 17 5",
		"perftest 65536 1 4", "perftest 65536 1 99999999", "perftest 65536 1 5 x",
		"perftest 65536 1 5;rm", "perftest -h 1 5" };
	struct perftest_ask ask;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(perftest_line("perftest 65536 4 1000", &ask, &e), 0);
	assert_int_equal(ask.put, 65536);
	assert_int_equal(ask.streams, 4);
	assert_int_equal(ask.writes, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(perftest_line(bad[i], &ask, &e), -EPROTO);
}

static void as_many_bytes_are_written_as_we_put(void **state)
{
	struct perftest_ask ask = perftest_plan(256 << 20, 65536, 2);

	(void)state;
	assert_int_equal((uint64_t)ask.put * ask.streams * ask.writes, 256 << 20);
	assert_int_equal(perftest_plan(4096, 4096, 16).writes, 5);
	assert_int_equal(perftest_plan(1ull << 40, 4096, 1).writes, PERFTEST_WRITES_MAX);
}

static void the_client_tries_until_the_server_listens(void **state)
{
	const struct perftest_ask ask = { .put = 65536, .streams = 2, .writes = 1000 };
	char text[512], *word, *port;
	struct perftest_result r;
	struct err e = { 0 };
	int fd;
	pid_t far;

	(void)state;
	write_file("said", said, 0644);
	write_file("ib_write_bw",
		"#!/bin/sh\n"
		"for last; do :; done\n"
		"if [ \"$last\" = 127.0.0.1 ]; then\n"
		"  echo \"$*\" >>$FAKE/client\n"
		"  [ $(wc -l <$FAKE/client) -ge 3 ] || { echo 'Unexpected CM event'; exit 1; }\n"
		"  cat $FAKE/said\n"
		"  exit 0\n"
		"fi\n"
		"echo \"$*\" >$FAKE/server\n",
		0755);
	far = far_end(&fd);
	assert_int_equal(perftest_drive(fd, "127.0.0.1", &ask, &r, &e), 0);
	assert_int_equal(end_of(far), 0);
	close(fd);
	assert_true(r.goodput == 25.5 * 1048576);
	assert_int_equal(r.bytes, 2ull * 1000 * 65536);
	read_file("server", text, sizeof(text));
	assert_non_null(strstr(text, "-R "));
	assert_non_null(strstr(text, "-s 65536 -q 2 -n 1000 -p "));
	port = strdup(strstr(text, "-p "));
	read_file("client", text, sizeof(text));
	word = strstr(text, "-p ");
	assert_non_null(word);
	port[strcspn(port, "\n")] = '\0';
	assert_int_equal(strncmp(word, port, strlen(port)), 0); /* the server's port */
	free(port);
}

static void a_failure_is_told_in_its_own_words(void **state)
{
	const struct perftest_ask ask = { .put = 65536, .streams = 1, .writes = 5 };
	struct perftest_result r;
	struct err e = { 0 };
	int fd;
	pid_t far;

	(void)state;
	write_file("ib_write_bw",
		"#!/bin/sh\n"
		"for last; do :; done\n"
		"[ \"$last\" = 127.0.0.1 ] || exec sleep 100\n"
		"echo ' WARNING: BW peak will be'\n"
		"echo ' #bytes     #iterations'\n"
		"echo ' 4096 1 1 1'\n",
		0755);
	far = far_end(&fd);
	assert_int_equal(perftest_drive(fd, "127.0.0.1", &ask, &r, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "no figure for writes of 65536 bytes"));
	close(fd);
	/* It has ended the server, which would have slept on. */
	assert_int_equal(end_of(far), 1);
}

static void a_missing_program_is_named_with_its_package(void **state)
{
	const struct perftest_ask ask = { .put = 65536, .streams = 1, .writes = 5 };
	char *old = strdup(getenv("PATH"));
	struct perftest_result r;
	struct err e = { 0 };
	int fd;
	pid_t far;

	(void)state;
	setenv("PATH", "/nowhere", 1);
	far = far_end(&fd);
	assert_int_equal(perftest_drive(fd, "127.0.0.1", &ask, &r, &e), -EPROTO);
	assert_int_equal(end_of(far), 1);
	close(fd);
	setenv("PATH", old, 1);
	free(old);
	assert_non_null(strstr(e.msg, "cannot run ib_write_bw (Debian: perftest)"));
}

static void a_program_that_does_not_end_is_ended(void **state)
{
	char *args[] = { "sleep", "1000", NULL };
	struct err e = { 0 };
	pid_t pid;

	(void)state;
	assert_int_equal(tool_spawn(args, "coreutils", -1, -1, &pid, &e), 0);
	assert_int_equal(tool_wait(pid, 20 * NSEC_PER_MSEC, NULL, &e), -ETIMEDOUT);
	assert_int_equal(waitpid(pid, NULL, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_average_is_read_in_mib),
		cmocka_unit_test(a_line_is_numbers_within_bounds),
		cmocka_unit_test(as_many_bytes_are_written_as_we_put),
		cmocka_unit_test(the_client_tries_until_the_server_listens),
		cmocka_unit_test(a_failure_is_told_in_its_own_words),
		cmocka_unit_test(a_missing_program_is_named_with_its_package),
		cmocka_unit_test(a_program_that_does_not_end_is_ended),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
