/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the running of iperf3 (see iperf.h): a server for one connection, and a client that reports
 * as JSON. Must never leave the server behind.
 * Next in the flow: bench/transport.c.
 */
#include "bench/iperf.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#define IPERF_SECONDS  "2"
#define IPERF_TRIES    50
#define IPERF_PAUSE_US 20000

extern char **environ;

/* A port that was free a moment ago. */
static int iperf_port(char *text, size_t n, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		rc = err_errno(e, "cannot find a free port");
	snprintf(text, n, "%u", ntohs(a.sin_port));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int iperf_spawn(char **args, int out, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t files;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&files, out, 1);
	else
		posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawnp(pid, "iperf3", &files, NULL, args, environ);
	posix_spawn_file_actions_destroy(&files);
	return rc ? err_set(e, -rc, "cannot run iperf3 (Debian: iperf3): %s", strerrordesc_np(rc))
		  : 0;
}

static int iperf_parse(const json_t *j, struct iperf_result *out, struct err *e)
{
	const char *error = json_string_value(json_object_get(j, "error"));
	const json_t *end = json_object_get(j, "end");
	const json_t *cpu = json_object_get(end, "cpu_utilization_percent");

	if (error || !end)
		return err_set(e, -EIO, "iperf3: %.300s", error ? error : "no result");
	out->goodput = json_number_value(json_object_get(
			       json_object_get(end, "sum_received"), "bits_per_second")) /
		       8;
	out->cpu_near = json_number_value(json_object_get(cpu, "host_total")) / 100;
	out->cpu_far = json_number_value(json_object_get(cpu, "remote_total")) / 100;
	return out->goodput > 0 ? 0 : err_set(e, -EIO, "iperf3 reports no bytes");
}

static int iperf_client(char *port, unsigned streams, struct iperf_result *out, struct err *e)
{
	char parallel[16];
	char *args[] = { "iperf3", "-c", "127.0.0.1", "-p", port, "-t", IPERF_SECONDS, "-P",
		parallel, "-J", NULL };
	json_t *j = NULL;
	int fd[2], rc;
	pid_t pid;
	FILE *f;

	snprintf(parallel, sizeof(parallel), "%u", streams);
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe");
	rc = iperf_spawn(args, fd[1], &pid, e);
	close(fd[1]);
	f = fdopen(fd[0], "r");
	if (rc == 0 && f)
		j = json_loadf(f, 0, NULL);
	if (f)
		fclose(f);
	if (rc < 0)
		return rc;
	waitpid(pid, NULL, 0);
	rc = iperf_parse(j, out, e);
	json_decref(j);
	return rc;
}

int iperf_run(unsigned streams, struct iperf_result *out, struct err *e)
{
	char port[16];
	char *args[] = { "iperf3", "-s", "-1", "-p", port, NULL };
	pid_t server;
	int rc = iperf_port(port, sizeof(port), e);

	*out = (struct iperf_result){ 0 };
	if (rc == 0)
		rc = iperf_spawn(args, -1, &server, e);
	if (rc < 0)
		return rc;
	/* The server says nothing when it listens, so the client tries until it does. */
	for (int i = 0; i < IPERF_TRIES; i++) {
		rc = iperf_client(port, streams, out, e);
		if (rc == 0)
			break;
		usleep(IPERF_PAUSE_US);
	}
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return rc;
}
