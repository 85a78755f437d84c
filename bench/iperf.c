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
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/tool.h"
#include "hv/migrate/xport.h"

#define IPERF_SECONDS  "2"
#define IPERF_TRIES    50
#define IPERF_PAUSE_US 20000

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

static int iperf_client(
	char *host, char *port, unsigned streams, struct iperf_result *out, struct err *e)
{
	char parallel[16];
	char *args[] = { "iperf3", "-c", host, "-p", port, "-t", IPERF_SECONDS, "-P", parallel,
		"-J", NULL };
	json_t *j = NULL;
	int fd[2], rc;
	pid_t pid;
	FILE *f;

	snprintf(parallel, sizeof(parallel), "%u", streams);
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_errno(e, "cannot make a pipe");
	rc = tool_spawn(args, "iperf3", fd[1], -1, &pid, e);
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

int iperf_run(const char *address, unsigned streams, struct iperf_result *out, struct err *e)
{
	char port[16], host[XPORT_HOST_MAX];
	char *args[] = { "iperf3", "-s", "-1", "-p", port, NULL };
	uint16_t number = 0;
	pid_t server;
	int rc = tool_port(&number, e);

	*out = (struct iperf_result){ 0 };
	snprintf(port, sizeof(port), "%u", number);
	snprintf(host, sizeof(host), "%s", address);
	if (rc == 0)
		rc = tool_spawn(args, "iperf3", -1, -1, &server, e);
	if (rc < 0)
		return rc;
	/* The server says nothing when it listens, so the client tries until it does. */
	for (int i = 0; i < IPERF_TRIES; i++) {
		rc = iperf_client(host, port, streams, out, e);
		if (rc == 0)
			break;
		usleep(IPERF_PAUSE_US);
	}
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return rc;
}
