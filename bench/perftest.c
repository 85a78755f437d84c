/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns both ends of a measurement by ib_write_bw (see perftest.h). Must never take anything from
 * the wire into a program's arguments but numbers within bounds, nor wait without an end. Next in
 * the flow: bench/transport.c.
 */
#include "bench/perftest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/line.h"
#include "bench/tool.h"
#include "hv/base/clock.h"
#include "hv/migrate/xport.h"

#define PERFTEST_TIMEOUT_NS (300 * NSEC_PER_SEC)
#define PERFTEST_START_NS   (10 * NSEC_PER_SEC) /* for the server to listen */
#define PERFTEST_PAUSE_MS   100
#define PERFTEST_MIB        1048576.0 /* its MB */
#define PERFTEST_SAID_MAX   8192
#define PERFTEST_ARGS       20

struct perftest_ask perftest_plan(uint64_t bytes, uint32_t put, uint32_t streams)
{
	uint64_t writes = (bytes + (uint64_t)put * streams - 1) / ((uint64_t)put * streams);

	return (struct perftest_ask){ .put = put,
		.streams = streams,
		.writes = writes < 5                     ? 5 /* its least */
			  : writes > PERFTEST_WRITES_MAX ? PERFTEST_WRITES_MAX
							 : (uint32_t)writes };
}

int perftest_line(const char *line, struct perftest_ask *out, struct err *e)
{
	char rest;

	*out = (struct perftest_ask){ 0 };
	if (sscanf(line, PERFTEST_WORD "%" SCNu32 " %" SCNu32 " %" SCNu32 "%c", &out->put,
		    &out->streams, &out->writes, &rest) != 3 ||
		out->put < 4096 || out->put > 1u << 20 || out->streams < 1 ||
		out->streams > PERFTEST_STREAMS_MAX || out->writes < 5 ||
		out->writes > PERFTEST_WRITES_MAX)
		return err_set(e, -EPROTO, "the other end asks '%.60s'", line);
	return 0;
}

int perftest_parse(const char *text, uint32_t put, double *goodput, struct err *e)
{
	/* " 65536      1000             26.00              25.90 		   0.000414" */
	while (text && *text) {
		double peak = 0, average = 0;
		uint64_t iterations;
		uint32_t bytes;

		if (sscanf(text, " %" SCNu32 " %" SCNu64 " %lf %lf", &bytes, &iterations, &peak,
			    &average) == 4 &&
			bytes == put && average > 0) {
			*goodput = average * PERFTEST_MIB;
			return 0;
		}
		text = strchr(text, '\n');
		text += text ? 1 : 0;
	}
	return err_set(
		e, -EPROTO, "ib_write_bw gives no figure for writes of %" PRIu32 " bytes", put);
}

/* ---- which device ---- */

/* The network interface that has address @host, into @name; false: none has. */
static bool perftest_interface(const char *host, char *name, size_t n)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		char text[INET6_ADDRSTRLEN] = "";

		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text,
				sizeof(text));
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, text,
				sizeof(text));
		found = strcmp(text, host) == 0;
		if (found)
			snprintf(name, n, "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

/* The RDMA device on the interface of @host, "" if that cannot be told: then it takes the first. */
static void perftest_device(const char *host, char *device, size_t n)
{
	char interface[64];
	glob_t g = { 0 };

	device[0] = '\0';
	if (!perftest_interface(host, interface, sizeof(interface)) ||
		glob("/sys/class/infiniband/*/ports/*/gid_attrs/ndevs/*", 0, NULL, &g) != 0) {
		globfree(&g);
		return;
	}
	for (size_t i = 0; i < g.gl_pathc && !device[0]; i++) {
		FILE *f = fopen(g.gl_pathv[i], "re");
		char line[64] = "";

		if (!f)
			continue;
		if (!fgets(line, sizeof(line), f)) /* an index without an address is an error */
			line[0] = '\0';
		fclose(f);
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, interface) == 0)
			snprintf(device, n, "%.*s",
				(int)strcspn(g.gl_pathv[i] + strlen("/sys/class/infiniband/"), "/"),
				g.gl_pathv[i] + strlen("/sys/class/infiniband/"));
	}
	globfree(&g);
}

/* ---- running it ---- */

/* Its command line, at @host's device, to @server unless that is NULL. */
struct perftest_args {
	char *argv[PERFTEST_ARGS];
	char put[16], streams[16], writes[16], port[16], device[64];
	char server[XPORT_HOST_MAX];
};

static void perftest_args(struct perftest_args *a, const struct perftest_ask *ask, uint16_t port,
	const char *host, const char *server)
{
	unsigned n = 0;

	snprintf(a->put, sizeof(a->put), "%" PRIu32, ask->put);
	snprintf(a->streams, sizeof(a->streams), "%" PRIu32, ask->streams);
	snprintf(a->writes, sizeof(a->writes), "%" PRIu32, ask->writes);
	snprintf(a->port, sizeof(a->port), "%u", port);
	perftest_device(host, a->device, sizeof(a->device));
	a->argv[n++] = "ib_write_bw";
	a->argv[n++] = "-R"; /* connects with rdma_cm, as we do */
	a->argv[n++] = "-F";
	a->argv[n++] = "-s";
	a->argv[n++] = a->put;
	a->argv[n++] = "-q";
	a->argv[n++] = a->streams;
	a->argv[n++] = "-n";
	a->argv[n++] = a->writes;
	a->argv[n++] = "-p";
	a->argv[n++] = a->port;
	if (a->device[0]) {
		a->argv[n++] = "-d";
		a->argv[n++] = a->device;
	}
	if (server) {
		snprintf(a->server, sizeof(a->server), "%s", server);
		a->argv[n++] = a->server;
	}
	a->argv[n] = NULL;
}

/* The address that the socket @fd has here, or @host where it is none of a network. */
static void perftest_here(int fd, const char *host, char *out, size_t n)
{
	struct sockaddr_storage s = { 0 };
	socklen_t len = sizeof(s);

	snprintf(out, n, "%s", host);
	if (getsockname(fd, (struct sockaddr *)&s, &len) < 0)
		return;
	if (s.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&s)->sin_addr, out, (socklen_t)n);
	else if (s.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&s)->sin6_addr, out, (socklen_t)n);
}

int perftest_serve(int fd, const char *host, const char *line, struct err *e)
{
	char answer[LINE_MAX_BYTES], here[XPORT_HOST_MAX];
	struct perftest_args a;
	struct perftest_ask ask;
	uint64_t cpu = 0;
	uint16_t port = 0;
	pid_t pid = 0;
	int rc = perftest_line(line, &ask, e);

	if (rc == 0)
		rc = tool_port(&port, e);
	if (rc == 0) {
		perftest_here(fd, host, here, sizeof(here));
		perftest_args(&a, &ask, port, here, NULL);
		rc = tool_spawn(a.argv, "perftest", -1, -1, &pid, e);
	}
	if (rc < 0)
		snprintf(answer, sizeof(answer), "error %.240s\n", e->msg);
	else
		snprintf(answer, sizeof(answer), "ready %u\n", port);
	if (line_say(fd, answer, rc < 0 ? NULL : e) < 0 && rc == 0)
		rc = -EIO;
	if (pid == 0)
		return rc;
	if (rc == 0)
		rc = line_hear(fd, answer, e);
	/* The near end has measured, failed or gone away: there is nothing left to wait for. */
	tool_wait(pid, rc < 0 ? 0 : NSEC_PER_SEC, &cpu, NULL);
	snprintf(answer, sizeof(answer), "done %" PRIu64 "\n", cpu);
	return rc < 0 ? rc : line_say(fd, answer, e);
}

/* Runs the client once; what it prints goes into @said. -EAGAIN: it did not reach the server. */
static int perftest_client(struct perftest_args *a, char *said, uint64_t *cpu, struct err *e)
{
	int out = memfd_create("ib_write_bw", MFD_CLOEXEC), rc;
	ssize_t n;
	pid_t pid;

	said[0] = '\0';
	if (out < 0)
		return err_errno(e, "cannot make a file for what ib_write_bw prints");
	rc = tool_spawn(a->argv, "perftest", out, out, &pid, e);
	if (rc == 0) {
		rc = tool_wait(pid, PERFTEST_TIMEOUT_NS, cpu, e);
		n = pread(out, said, PERFTEST_SAID_MAX - 1, 0);
		said[n > 0 ? n : 0] = '\0';
	}
	close(out);
	return rc;
}

/* Its first line that is no frame and no notice, for an error of its. */
static const char *perftest_words(char *said)
{
	char *save = NULL;

	for (char *w = strtok_r(said, "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
		w += strspn(w, " \t");
		if (*w && *w != '-' && !strstr(w, "WARNING") && !strstr(w, "Waiting"))
			return w;
	}
	return "it does not say why";
}

int perftest_drive(int fd, const char *host, const struct perftest_ask *ask,
	struct perftest_result *out, struct err *e)
{
	uint64_t end = clock_mono_ns() + PERFTEST_START_NS;
	char line[LINE_MAX_BYTES], here[XPORT_HOST_MAX], *said = malloc(PERFTEST_SAID_MAX);
	struct perftest_args a;
	unsigned port = 0;
	int rc = said ? 0 : err_set(e, -ENOMEM, "no memory for what ib_write_bw prints");

	*out = (struct perftest_result){ .bytes = (uint64_t)ask->put * ask->streams * ask->writes };
	snprintf(line, sizeof(line), PERFTEST_WORD "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
		ask->put, ask->streams, ask->writes);
	if (rc == 0)
		rc = line_say(fd, line, e);
	if (rc == 0)
		rc = line_hear(fd, line, e);
	if (rc == 0 && (sscanf(line, "ready %u", &port) != 1 || port == 0 || port > UINT16_MAX))
		rc = err_set(e, -EPROTO, "the other end says: %.240s", line);
	if (rc == 0) {
		perftest_here(fd, host, here, sizeof(here));
		perftest_args(&a, ask, (uint16_t)port, here, host);
	}
	/* The server does not say when it listens, so the client tries until it does. */
	while (rc == 0) {
		rc = perftest_client(&a, said, &out->cpu_near_ns, e);
		if (rc != -EIO || clock_mono_ns() > end)
			break;
		poll(NULL, 0, PERFTEST_PAUSE_MS);
		rc = 0;
	}
	if (rc == -EIO)
		err_set(e, rc, "ib_write_bw: %.240s", perftest_words(said));
	else if (rc == 0)
		rc = perftest_parse(said, ask->put, &out->goodput, e);
	if (rc == 0)
		rc = line_say(fd, "end\n", e);
	if (rc == 0)
		rc = line_hear(fd, line, e);
	if (rc == 0 && sscanf(line, "done %" SCNu64, &out->cpu_far_ns) != 1)
		rc = err_set(e, -EPROTO, "the other end says: %.240s", line);
	free(said);
	return rc;
}
