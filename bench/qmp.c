/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the QMP connection (see qmp.h). Must never wait longer than QMP_ANSWER_MS for a line, nor
 * take one longer than QMP_LINE_MAX.
 * Next in the flow: bench/system_qemu.c.
 */
#include "bench/qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define QMP_ANSWER_MS 20000 /* a QEMU that migrates may keep its main loop busy */
#define QMP_LINE_MAX  (1u << 20)

struct qmp {
	int fd;
	size_t len;
	char buf[QMP_LINE_MAX];
};

/* The next line as JSON, a new reference in *@out. */
static int qmp_line(struct qmp *q, json_t **out, struct err *e)
{
	uint64_t end = clock_mono_ns() + QMP_ANSWER_MS * NSEC_PER_MSEC;

	for (;;) {
		char *nl = memchr(q->buf, '\n', q->len);
		struct pollfd p = { .fd = q->fd, .events = POLLIN };
		ssize_t n;

		if (nl) {
			size_t len = (size_t)(nl - q->buf) + 1;

			*out = json_loadb(q->buf, len, 0, NULL);
			memmove(q->buf, q->buf + len, q->len - len);
			q->len -= len;
			return *out ? 0 : err_set(e, -EPROTO, "QEMU does not speak JSON");
		}
		if (q->len == sizeof(q->buf))
			return err_set(e, -EPROTO, "QEMU's answer does not end");
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "QEMU does not answer");
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(q->fd, q->buf + q->len, sizeof(q->buf) - q->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, -ECONNRESET, "QEMU ended");
		q->len += (size_t)n;
	}
}

int qmp_call(struct qmp *q, const char *command, json_t *args, json_t **out, struct err *e)
{
	json_t *request = json_pack("{s:s,s:o*}", "execute", command, "arguments", args);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_t *line = NULL;
	int rc = 0;

	if (!text)
		rc = err_set(e, -ENOMEM, "no memory for a request");
	else if (send(q->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		rc = err_set(e, -ECONNRESET, "QEMU ended");
	while (rc == 0) {
		const json_t *error, *value;

		rc = qmp_line(q, &line, e);
		if (rc < 0)
			break;
		error = json_object_get(line, "error");
		value = json_object_get(line, "return");
		if (error)
			rc = err_set(e, -ENOTSUP, "%.400s",
				json_string_value(json_object_get(error, "desc")));
		else if (value && out)
			*out = json_incref((json_t *)value);
		json_decref(line);
		if (error || value)
			break;
	}
	free(text);
	json_decref(request);
	return rc < 0 ? err_wrap(e, "QEMU: %s", command) : 0;
}

int qmp_open(struct qmp **out, const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct qmp *q = calloc(1, sizeof(*q));
	json_t *greeting = NULL;
	int rc = 0;

	*out = NULL;
	if (!q)
		return err_set(e, -ENOMEM, "no memory for a connection");
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (q->fd < 0)
		rc = err_errno(e, "cannot make a socket");
	if (rc == 0 && strlen(path) >= sizeof(a.sun_path))
		rc = err_set(e, -ENAMETOOLONG, "%s is too long for a socket", path);
	if (rc == 0) {
		strcpy(a.sun_path, path);
		if (connect(q->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
			rc = err_errno(e, "cannot connect to %s", path);
	}
	if (rc == 0)
		rc = qmp_line(q, &greeting, e);
	json_decref(greeting);
	if (rc == 0)
		rc = qmp_call(q, "qmp_capabilities", NULL, NULL, e);
	if (rc < 0)
		qmp_close(q);
	else
		*out = q;
	return rc;
}

void qmp_close(struct qmp *q)
{
	if (q && q->fd >= 0)
		close(q->fd);
	free(q);
}
