/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the writing of results to files (see outfile.h). Must never say that all is well before the
 * file is closed, for a full disk may show only then, nor remove what is no ordinary file.
 * Next in the flow: bench/report_json.c, bench/report_html.c.
 */
#include "bench/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int outfile_check(const char *option, const char *path, struct err *e)
{
	int fd;

	if (strcmp(path, "-") == 0)
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0)
		return err_errno(e, "--%s: %s cannot be written", option, path);
	close(fd);
	return 0;
}

int outfile_close(FILE *f, const char *path, int rc, struct err *e)
{
	struct stat st;
	bool ordinary = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);

	if (rc == 0 && (fflush(f) != 0 || ferror(f)))
		rc = err_errno(e, "cannot write %s", path);
	if (fclose(f) != 0 && rc == 0)
		rc = err_errno(e, "cannot write %s", path);
	if (rc < 0 && ordinary)
		unlink(path);
	return rc;
}

int outfile_json(const json_t *j, const char *path, struct err *e)
{
	FILE *f;
	int rc = 0;

	if (!j)
		return err_set(e, -ENOMEM, "no memory for the results");
	if (strcmp(path, "-") == 0)
		return json_dumpf(j, stdout, JSON_INDENT(1)) < 0 || puts("") < 0 ||
				       fflush(stdout) != 0
			       ? err_errno(e, "cannot write the results to stdout")
			       : 0;
	f = fopen(path, "we");
	if (!f)
		return err_errno(e, "cannot write %s", path);
	errno = 0;
	if (json_dumpf(j, f, JSON_INDENT(1)) < 0 || fputc('\n', f) == EOF)
		rc = err_errno(e, "cannot write %s", path);
	return outfile_close(f, path, rc, e);
}
