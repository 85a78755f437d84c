/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the state directory (see state_dir.h). Must never leave half a definition under its name:
 * a new one is complete and on disk before it takes the old one's place.
 * Next in the flow: inifile.c.
 */
#include "hv/cmd/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hv/ctl/history.h"
#include "hv/ctl/proto.h"
#include "hv/vm/definition.h"

bool state_is_file(const char *arg)
{
	size_t n = strlen(arg);

	return strchr(arg, '/') || (n > 4 && strcmp(arg + n - 4, ".ini") == 0);
}

void state_moved(struct inifile_moved *m, const char *to)
{
	time_t now = time(NULL);
	struct tm tm;

	snprintf(m->to, sizeof(m->to), "%s", to);
	strftime(m->at, sizeof(m->at), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

static int state_open_dir(struct err *e)
{
	const char *dir = ctl_state_dir();
	int fd;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the state directory %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_errno(e, "cannot open the state directory %s", dir);
}

static int state_write(int dir, const char *file, const struct vm_config *c,
	const struct inifile_moved *m, struct err *e)
{
	int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
	int rc = 0;

	if (!to) {
		rc = err_errno(e, "cannot write %s/%s", ctl_state_dir(), file);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	fprintf(to,
		"# Written by watari %s; see watari-run(1). A guest's definition as this host keeps it.\n",
		m && m->to[0] ? "when the guest moved away" : "when the guest began to live here");
	inifile_print(to, c, m);
	if (fflush(to) == EOF || ferror(to) || fsync(fd) < 0)
		rc = err_errno(e, "cannot write %s/%s", ctl_state_dir(), file);
	fclose(to);
	return rc;
}

int state_keep(const struct vm_config *c, const struct inifile_moved *m, struct err *e)
{
	char file[VM_NAME_MAX + 8], fresh[VM_NAME_MAX + 32];
	int dir = state_open_dir(e), rc;

	if (dir < 0)
		return dir;
	snprintf(file, sizeof(file), "%s.ini", c->name);
	snprintf(fresh, sizeof(fresh), ".%s.ini.%d", c->name, (int)getpid());
	rc = state_write(dir, fresh, c, m, e);
	if (rc == 0 && renameat(dir, fresh, dir, file) < 0)
		rc = err_errno(e, "cannot write %s/%s", ctl_state_dir(), file);
	if (rc < 0)
		unlinkat(dir, fresh, 0);
	else if (fsync(dir) < 0)
		rc = err_errno(e, "cannot write %s", ctl_state_dir());
	close(dir);
	return rc;
}

int state_load(const char *name, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	char path[VM_PATH_MAX];
	int rc;

	if (!ctl_name_ok(name))
		return err_set(e, -EINVAL, "'%s' is not a guest's name", name);
	if (snprintf(path, sizeof(path), "%s/%s.ini", ctl_state_dir(), name) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "the state directory's path is too long");
	if (access(path, F_OK) < 0)
		return err_set(
			e, -ENOENT, "this host keeps no definition of guest '%s' (%s)", name, path);
	vm_def_init(c);
	rc = inifile_read(path, c, m, e);
	vm_def_finish(c);
	if (rc == 0 && strcmp(c->name, name) != 0)
		rc = err_set(e, -EINVAL, "%s: the guest's name in it is '%s'", path, c->name);
	return rc;
}
