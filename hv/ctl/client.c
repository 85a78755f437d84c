/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the asking side of the control socket (see client.h). Must never wait without an end.
 * Next in the flow: server.c answers.
 */
#include "hv/ctl/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/claim.h"

#define CLIENT_BUF (256u << 10) /* longest line a guest may answer with */

struct ctl_client {
	int fd;
	char name[CTL_NAME_MAX];
	size_t len;
	char buf[CLIENT_BUF];
};

static int client_connect(const char *dir, const char *name, struct err *e)
{
	int dir_fd, fd;

	if (!ctl_name_ok(name))
		return err_set(e, -EINVAL,
			"name '%s' is not 1 to %d letters, digits, '.', '_' or '-'", name,
			CTL_NAME_MAX - 1);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 && errno != ENOENT)
		return err_errno(e, "cannot open the runtime directory %s", dir);
	fd = -ENOENT;
	if (dir_fd >= 0) {
		fd = ctl_claim_connect(dir_fd, name);
		close(dir_fd);
	}
	if (fd >= 0)
		return fd;
	if (fd == -ENOENT)
		return err_set(e, fd, "there is no guest named '%s' in %s", name, dir);
	if (fd == -ECONNREFUSED)
		return err_set(e, fd,
			"there is no guest named '%s' in %s any more: its process is dead", name,
			dir);
	return err_set(e, fd, "cannot reach guest '%s': %s", name,
		fd == -EAGAIN ? "too many are waiting for it" : strerrordesc_np(-fd));
}

int ctl_client_open(struct ctl_client **out, const char *dir, const char *name, struct err *e)
{
	struct ctl_client *c;
	int fd = client_connect(dir ? dir : ctl_runtime_dir(), name, e);

	*out = NULL;
	if (fd < 0)
		return fd;
	c = malloc(sizeof(*c));
	if (!c) {
		close(fd);
		return err_set(e, -ENOMEM, "no memory to talk to guest '%s'", name);
	}
	c->fd = fd;
	c->len = 0;
	strcpy(c->name, name); /* its length was checked by ctl_name_ok() */
	*out = c;
	return 0;
}

void ctl_client_close(struct ctl_client *c)
{
	if (!c)
		return;
	close(c->fd);
	free(c);
}

int ctl_client_fd(const struct ctl_client *c)
{
	return c->fd;
}

void ctl_client_give_up(struct ctl_client *c)
{
	shutdown(c->fd, SHUT_WR);
}

static int client_gone(const struct ctl_client *c, struct err *e)
{
	return err_set(e, -ECONNRESET, "guest '%s' ended before it answered", c->name);
}

int ctl_client_process(const struct ctl_client *c)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	/* The kernel names whoever called listen(), in our own numbers; 0: not one we can see. */
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.pid <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

bool ctl_process_gone(int process, int timeout_ms)
{
	struct pollfd p = { .fd = process, .events = POLLIN };
	bool gone = process >= 0 && poll(&p, 1, timeout_ms) > 0;

	if (process >= 0)
		close(process);
	return gone;
}

int ctl_client_send(struct ctl_client *c, const json_t *request, struct err *e)
{
	char *line = json_dumps(request, JSON_COMPACT);
	size_t n = line ? strlen(line) : 0, done = 0;
	int rc = 0;

	if (!line)
		return err_set(e, -ENOMEM, "no memory for a request to guest '%s'", c->name);
	line[n++] = '\n'; /* in place of the NUL: what is sent is counted, not terminated */
	while (done < n && rc == 0) {
		ssize_t k = send(c->fd, line + done, n - done, MSG_NOSIGNAL);
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };

		if (k > 0)
			done += (size_t)k;
		else if (k < 0 && errno == EINTR)
			continue;
		else if (k == 0 || errno != EAGAIN)
			rc = client_gone(c, e);
		else if (poll(&p, 1, CTL_ANSWER_MS) == 0)
			rc = err_set(e, -ETIMEDOUT, "guest '%s' does not read requests", c->name);
	}
	free(line);
	return rc;
}

/* Takes a whole line out of the buffer: 1, 0 if there is none yet, or -EPROTO. */
static int client_line(struct ctl_client *c, json_t **out, struct err *e)
{
	char *nl = memchr(c->buf, '\n', c->len);
	size_t n;

	if (!nl && c->len < sizeof(c->buf))
		return 0;
	if (nl) {
		n = (size_t)(nl - c->buf);
		*out = json_loadb(c->buf, n, 0, NULL);
		c->len -= n + 1;
		memmove(c->buf, nl + 1, c->len);
		if (*out)
			return 1;
	}
	return err_set(e, -EPROTO,
		"what listens under the name '%s' does not speak as a guest does", c->name);
}

int ctl_client_recv(struct ctl_client *c, json_t **out, int timeout_ms, struct err *e)
{
	uint64_t end = clock_mono_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	*out = NULL;
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		uint64_t now;
		ssize_t k;
		int rc = client_line(c, out, e);

		if (rc != 0)
			return rc;
		k = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
		if (k > 0) {
			c->len += (size_t)k;
			continue;
		}
		if (k == 0 || (errno != EAGAIN && errno != EINTR))
			return client_gone(c, e);
		now = clock_mono_ns();
		if (now >= end)
			return 0;
		poll(&p, 1, (int)((end - now) / NSEC_PER_MSEC) + 1);
	}
}

int ctl_ask(const char *dir, const char *name, const char *op, json_t **answer, struct err *e)
{
	return ctl_ask_json(dir, name, json_pack("{s:s}", "op", op), answer, e);
}

/* One request to an open client, one answer. */
static int client_ask(struct ctl_client *c, const json_t *request, json_t **answer, struct err *e)
{
	json_t *a = NULL;
	int rc = ctl_client_send(c, request, e);

	if (rc == 0)
		rc = ctl_client_recv(c, &a, CTL_ANSWER_MS, e);
	if (rc == 0)
		rc = err_set(e, -ETIMEDOUT, "guest '%s' does not answer", c->name);
	else if (rc == 1)
		rc = ctl_answer_check(a, e);
	if (rc == 0 && answer)
		*answer = json_incref(a);
	json_decref(a);
	return rc;
}

int ctl_ask_json(const char *dir, const char *name, json_t *request, json_t **answer, struct err *e)
{
	struct ctl_client *c = NULL;
	int rc;

	if (answer)
		*answer = NULL;
	rc = request ? ctl_client_open(&c, dir, name, e)
		     : err_set(e, -ENOMEM, "no memory for a request");
	if (rc == 0)
		rc = client_ask(c, request, answer, e);
	json_decref(request);
	ctl_client_close(c);
	return rc;
}

int ctl_kill(const char *dir, const char *name, json_t **answer, struct err *e)
{
	json_t *request = json_pack("{s:s}", "op", "kill");
	struct ctl_client *c = NULL;
	int process = -1, rc;

	if (answer)
		*answer = NULL;
	rc = request ? ctl_client_open(&c, dir, name, e)
		     : err_set(e, -ENOMEM, "no memory for a request");
	if (rc == 0) {
		process = ctl_client_process(c);
		rc = client_ask(c, request, answer, e);
	}
	ctl_client_close(c);
	json_decref(request);
	ctl_process_gone(process, rc == 0 ? CTL_END_MS : 0);
	return rc;
}

/* True if somebody listens; removes what a dead process left. */
static bool list_alive(const char *dir, int dir_fd, const char *name)
{
	struct ctl_claim claim;
	int fd = ctl_claim_connect(dir_fd, name);

	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (fd == -ECONNREFUSED && ctl_claim_take(&claim, dir, name, NULL) == 0)
		ctl_claim_drop(&claim);
	return fd == -EAGAIN;
}

static int list_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_add(char ***names, size_t *n, const char *name)
{
	char **grown = realloc(*names, (*n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*names = grown;
	grown[*n] = strdup(name);
	if (!grown[*n])
		return -ENOMEM;
	++*n;
	return 0;
}

int ctl_list(const char *dir, char ***names, size_t *n, struct err *e)
{
	char name[CTL_NAME_MAX + 8];
	struct dirent *d;
	DIR *scan;
	int rc = 0;

	*names = NULL;
	*n = 0;
	dir = dir ? dir : ctl_runtime_dir();
	scan = opendir(dir);
	if (!scan && errno == ENOENT)
		return 0;
	if (!scan)
		return err_errno(e, "cannot read the runtime directory %s", dir);
	while (rc == 0 && (d = readdir(scan))) {
		size_t len = strlen(d->d_name);

		if (len <= 5 || len >= sizeof(name) || strcmp(d->d_name + len - 5, ".sock") != 0)
			continue;
		memcpy(name, d->d_name, len - 5);
		name[len - 5] = '\0';
		if (ctl_name_ok(name) && list_alive(dir, dirfd(scan), name))
			rc = list_add(names, n, name);
	}
	closedir(scan);
	if (rc < 0) {
		ctl_list_free(*names, *n);
		return err_set(e, rc, "no memory to list the guests");
	}
	if (*n)
		qsort(*names, *n, sizeof(**names), list_compare);
	return 0;
}

void ctl_list_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}
