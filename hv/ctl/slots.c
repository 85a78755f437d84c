/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns places and tickets (see slots.h). Must never wait: whoever stands in line looks again.
 * A ticket is a lock file too, named by when it was drawn; the names in order are the queue, and
 * one that nobody holds was left by a process that died.
 * Next in the flow: lockfile.h.
 */
#include "hv/ctl/slots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/lockfile.h"

#define SLOT_TICKETS 100 /* that were taken for stale before their maker could lock them */

static const char *const slot_ways[] = { [CTL_OUT] = "out", [CTL_IN] = "in" };

static void slot_place_name(const struct ctl_slot *s, unsigned n, char *file)
{
	snprintf(file, CTL_SLOT_FILE, ".%s.%u", slot_ways[s->way], n);
}

/* ".out.wait.STAMP.MOST.PID": by its length alone a stamp that is less is older. */
static int slot_draw(struct ctl_slot *s, struct err *e)
{
	for (int i = 0; i < SLOT_TICKETS; i++) {
		snprintf(s->ticket, sizeof(s->ticket), ".%s.wait.%020" PRIu64 ".%u.%d",
			slot_ways[s->way], clock_mono_ns(), s->most, (int)getpid());
		s->ticket_fd = ctl_lockfile_take(s->dir_fd, s->ticket);
		if (s->ticket_fd != -EWOULDBLOCK)
			break;
	}
	if (s->ticket_fd >= 0)
		return 0;
	err_set(e, s->ticket_fd, "cannot stand in line for a move: %s: %s", s->ticket,
		strerrordesc_np(-s->ticket_fd));
	s->ticket_fd = -1;
	return e ? e->code : -EIO;
}

/* Whether somebody stands in line with ticket @file; removes one that nobody holds. */
static bool slot_ticket_held(const struct ctl_slot *s, const char *file)
{
	int fd = openat(s->dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool held;

	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) < 0;
	if (!held)
		unlinkat(s->dir_fd, file, 0);
	close(fd);
	return held;
}

/* How many stand before @s, and the first place that none of them could take. */
static int slot_ahead(const struct ctl_slot *s, unsigned *ahead, unsigned *from, struct err *e)
{
	/* a look of one's own: the descriptor's position is shared with whoever has it */
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *scan = fd >= 0 ? fdopendir(fd) : NULL;
	size_t stem = strcspn(s->ticket + 1, ".") + strlen("..wait.");
	struct dirent *d;

	*ahead = *from = 0;
	if (!scan) {
		err_errno(e, "cannot read the runtime directory");
		if (fd >= 0)
			close(fd);
		return e ? e->code : -EIO;
	}
	while ((d = readdir(scan))) {
		unsigned most;

		if (strncmp(d->d_name, s->ticket, stem) != 0 || strcmp(d->d_name, s->ticket) >= 0 ||
			sscanf(d->d_name + stem, "%*20[0-9].%u.", &most) != 1 ||
			!slot_ticket_held(s, d->d_name))
			continue;
		++*ahead;
		if (most > *from)
			*from = most;
	}
	closedir(scan);
	return 0;
}

/* Who has place @n, in their own words; "" if nobody says. */
static void slot_holder(const struct ctl_slot *s, unsigned n, char *text, size_t size)
{
	char file[CTL_SLOT_FILE];
	ssize_t got = 0;
	int fd;

	slot_place_name(s, n, file);
	fd = openat(s->dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		got = read(fd, text, size - 1);
		close(fd);
	}
	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static void slot_explain(const struct ctl_slot *s, unsigned ahead, char *waits)
{
	char holder[CTL_SLOT_TEXT];
	int n = snprintf(waits, CTL_SLOTS_TEXT, "%u move%s of this host, as many as may go at once",
		s->most, s->most == 1 ? "" : "s");
	const char *sep = ": ";

	for (unsigned i = 0; i < s->most && n < CTL_SLOTS_TEXT; i++) {
		slot_holder(s, i, holder, sizeof(holder));
		if (!holder[0])
			continue;
		n += snprintf(waits + n, (size_t)(CTL_SLOTS_TEXT - n), "%s%s", sep, holder);
		sep = ", ";
	}
	if (ahead && n < CTL_SLOTS_TEXT)
		snprintf(waits + n, (size_t)(CTL_SLOTS_TEXT - n), "; %u before it in line", ahead);
}

/* 1: place @n is ours now; 0: it is somebody's. */
static int slot_try(struct ctl_slot *s, unsigned n, struct err *e)
{
	int fd;

	slot_place_name(s, n, s->place);
	fd = ctl_lockfile_take(s->dir_fd, s->place);
	if (fd == -EWOULDBLOCK)
		return 0;
	if (fd < 0)
		return err_set(e, fd, "cannot take a place for a move: %s: %s", s->place,
			strerrordesc_np(-fd));
	s->place_fd = fd;
	/* for those who wait; that they cannot read it harms nobody */
	if (ftruncate(fd, 0) < 0 || write(fd, s->what, strlen(s->what)) < 0)
		return 1;
	return 1;
}

int ctl_slot_look(struct ctl_slot *s, char *waits, struct err *e)
{
	unsigned ahead, from;
	int rc = slot_ahead(s, &ahead, &from, e);

	for (unsigned n = from; rc == 0 && n < s->most; n++)
		rc = slot_try(s, n, e);
	if (rc == 1) {
		ctl_lockfile_drop(s->dir_fd, s->ticket, s->ticket_fd);
		s->ticket_fd = -1;
	} else if (rc == 0 && waits) {
		slot_explain(s, ahead, waits);
	}
	return rc;
}

int ctl_slot_open(struct ctl_slot *s, const char *dir, enum ctl_way way, unsigned most,
	const char *what, struct err *e)
{
	int rc;

	*s = CTL_SLOT_NONE;
	s->way = way;
	s->most = most;
	snprintf(s->what, sizeof(s->what), "%s\n", what);
	rc = s->dir_fd = ctl_dir_open(dir, e);
	if (rc >= 0)
		rc = slot_draw(s, e);
	if (rc == 0)
		rc = ctl_slot_look(s, NULL, e);
	if (rc < 0)
		ctl_slot_close(s);
	return rc;
}

void ctl_slot_close(struct ctl_slot *s)
{
	if (s->dir_fd < 0)
		return;
	if (s->place_fd >= 0)
		ctl_lockfile_drop(s->dir_fd, s->place, s->place_fd);
	if (s->ticket_fd >= 0)
		ctl_lockfile_drop(s->dir_fd, s->ticket, s->ticket_fd);
	close(s->dir_fd);
	*s = CTL_SLOT_NONE;
}
