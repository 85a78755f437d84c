/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the history of moves (see history.h). Must never fail a move: callers warn and go on.
 * Next in the flow: proto.c for the figures.
 */
#include "hv/ctl/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/proto.h"

#define HISTORY_OLD HISTORY_FILE ".1"

const char *ctl_state_dir(void)
{
	const char *dir = getenv("WATARI_STATE_DIR");

	return dir && *dir ? dir : "/var/lib/watari";
}

/* ---- one line -------------------------------------------------------------------------------- */

static const char *history_result(const struct history_move *m)
{
	if (m->rc == 0)
		return "moved";
	if (m->result->in_doubt)
		return "in-doubt";
	return m->rc == -ECANCELED ? "cancelled" : "failed";
}

static void history_time(uint64_t real_ns, char *out, size_t n)
{
	time_t s = (time_t)(real_ns / NSEC_PER_SEC);
	struct tm tm;
	size_t at = strftime(out, n, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));

	snprintf(out + at, n - at, ".%03uZ", (unsigned)(real_ns % NSEC_PER_SEC / NSEC_PER_MSEC));
}

json_t *history_json(const struct history_move *m)
{
	char when[40];
	json_t *j, *figures = ctl_result_json(m->result), *why;

	history_time(m->real_ns, when, sizeof(when));
	j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "time", when, "guest", m->guest, "direction",
		m->leaving ? "out" : "in", "from", m->from, "to", m->to, "result",
		history_result(m));
	if (!j || !figures || json_object_update(j, figures) < 0) {
		json_decref(j);
		j = NULL;
	}
	json_decref(figures);
	if (j && m->skipped && m->skipped[0])
		json_object_set_new(j, "skipped", json_string(m->skipped));
	if (j && (m->rc || m->result->unconfirmed) && m->err) {
		why = json_string(m->err->msg); /* NULL if the peer's part of it is no UTF-8 */
		if (why)
			json_object_set_new(j, "error", why);
	}
	return j;
}

/* ---- the files ------------------------------------------------------------------------------- */

static int history_dir(const char *dir, bool make, struct err *e)
{
	int fd;

	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the state directory %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_errno(e, "cannot open the state directory %s", dir);
}

static int history_open(int dir_fd, const char *dir, struct err *e)
{
	int fd = openat(dir_fd, HISTORY_FILE,
		O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	return fd >= 0 ? fd : err_errno(e, "cannot open %s/" HISTORY_FILE, dir);
}

/*
 * Several processes may find the file full at once. The lock makes one of them rename it; the
 * others see that the name leads elsewhere now. Whoever cannot get the lock appends to what it has.
 */
static void history_rotate(int dir_fd, int fd)
{
	struct stat ours, path;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (fstat(fd, &ours) == 0 &&
		fstatat(dir_fd, HISTORY_FILE, &path, AT_SYMLINK_NOFOLLOW) == 0 &&
		ours.st_ino == path.st_ino && ours.st_dev == path.st_dev)
		renameat(dir_fd, HISTORY_FILE, dir_fd, HISTORY_OLD);
	flock(fd, LOCK_UN);
}

static int history_write(const char *dir, const char *text, size_t n, size_t most, struct err *e)
{
	int dir_fd = history_dir(dir, true, e), fd, rc = 0;
	struct stat st;
	ssize_t put;

	if (dir_fd < 0)
		return dir_fd;
	fd = history_open(dir_fd, dir, e);
	if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size + n > most) {
		history_rotate(dir_fd, fd);
		close(fd);
		fd = history_open(dir_fd, dir, e);
	}
	close(dir_fd);
	if (fd < 0)
		return fd;
	put = write(fd, text, n);
	if (put < 0)
		rc = err_errno(e, "cannot write %s/" HISTORY_FILE, dir);
	else if ((size_t)put != n)
		rc = err_set(e, -ENOSPC, "cannot write %s/" HISTORY_FILE ": the disk is full", dir);
	close(fd);
	return rc;
}

/* Appends @j, which is released; NULL: there was no memory for it. */
static int history_put(const char *dir, json_t *j, size_t most, struct err *e)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	size_t n = text ? strlen(text) : 0;
	int rc;

	json_decref(j);
	if (!text)
		return err_set(e, -ENOMEM, "no memory for a line of the history");
	text[n] = '\n'; /* in place of the NUL: one write, one line */
	rc = n < HISTORY_LINE ? history_write(dir, text, n + 1, most, e)
			      : err_set(e, -EMSGSIZE, "a line of the history would be too long");
	free(text);
	return rc;
}

int history_append(const char *dir, const struct history_move *m, size_t most, struct err *e)
{
	return history_put(dir, history_json(m), most, e);
}

int history_forced(const char *dir, const char *name, size_t most, struct err *e)
{
	char when[40];

	history_time(clock_real_ns(), when, sizeof(when));
	return history_put(dir,
		json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "time", when, "guest", name, "direction",
			"-", "from", "-", "to", "-", "result", "forced"),
		most, e);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A line without its end, as of a writer that was cut off, is passed over like any other bad one.
 */
static void history_line(const char *text, const char *name,
	void (*fn)(void *arg, const json_t *line), void *arg, unsigned *bad)
{
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *guest = json_string_value(json_object_get(j, "guest"));

	if (!guest)
		(*bad)++;
	else if (!name || strcmp(name, guest) == 0)
		fn(arg, j);
	json_decref(j);
}

static int history_file(int dir_fd, const char *dir, const char *file, const char *name,
	void (*fn)(void *arg, const json_t *line), void *arg, unsigned *bad, struct err *e)
{
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[HISTORY_LINE];
	FILE *f;
	bool within = false; /* in the middle of a line that is too long */

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "cannot open %s/%s", dir, file);
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return err_set(e, -ENOMEM, "no memory to read %s/%s", dir, file);
	}
	while (fgets(text, sizeof(text), f)) {
		bool whole = strchr(text, '\n') != NULL;

		if (!within && whole)
			history_line(text, name, fn, arg, bad);
		else if (!within)
			(*bad)++;
		within = !whole;
	}
	fclose(f);
	return 0;
}

int history_read(const char *dir, const char *name, void (*fn)(void *arg, const json_t *line),
	void *arg, unsigned *bad, struct err *e)
{
	int fd, rc;

	*bad = 0;
	if (access(dir, F_OK) < 0 && errno == ENOENT)
		return 0;
	fd = history_dir(dir, false, e);
	if (fd < 0)
		return fd;
	rc = history_file(fd, dir, HISTORY_OLD, name, fn, arg, bad, e);
	if (rc == 0)
		rc = history_file(fd, dir, HISTORY_FILE, name, fn, arg, bad, e);
	close(fd);
	return rc;
}

static void history_keep_last(void *arg, const json_t *line)
{
	json_t **last = arg;
	const char *result = json_string_value(json_object_get(line, "result"));

	/* an attempt that came to nothing does not say where the guest is */
	if (!result || (strcmp(result, "moved") != 0 && strcmp(result, "forced") != 0))
		return;
	json_decref(*last);
	*last = json_deep_copy(line);
}

bool history_left(const char *dir, const char *name, json_t **line)
{
	json_t *last = NULL;
	unsigned bad;
	int rc = history_read(dir, name, history_keep_last, &last, &bad, NULL);
	const char *direction = json_string_value(json_object_get(last, "direction"));

	*line = NULL;
	if (rc == 0 && direction && strcmp(direction, "out") == 0 &&
		json_is_string(json_object_get(last, "to")) &&
		json_is_string(json_object_get(last, "time"))) {
		*line = last;
		return true;
	}
	json_decref(last);
	return false;
}
