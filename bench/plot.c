/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the running of gnuplot and what is changed in its SVG (see plot.h). Must never leave a file
 * behind, nor let gnuplot read the user's own settings.
 * Next in the flow: bench/report_html.c.
 */
#include "bench/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLOT_PATH_MAX 96
#define PLOT_SVG_MAX  (16u << 20)

extern char **environ;

static const char *plot_path(const struct plot *p, const char *name, char *buf)
{
	snprintf(buf, PLOT_PATH_MAX, "%s/%s", p->dir, name);
	return buf;
}

int plot_open(struct plot *p, unsigned width, unsigned height, struct err *e)
{
	char path[PLOT_PATH_MAX];

	*p = (struct plot){ .dir = "/tmp/watari-plot.XXXXXX" };
	if (!mkdtemp(p->dir)) {
		p->dir[0] = '\0';
		return err_errno(e, "cannot make a directory for a plot");
	}
	p->script = fopen(plot_path(p, "script", path), "we");
	if (!p->script)
		return err_errno(e, "cannot write %s", path);
	fprintf(p->script, "set terminal svg size %u,%u dynamic noenhanced font 'sans-serif,13'\n",
		width, height);
	fprintf(p->script, "set output '%s'\n", plot_path(p, "svg", path));
	fprintf(p->script, "set encoding utf8\nset border 3\nset tics nomirror\n"
			   "set grid ytics lc rgb '" PLOT_GREY "' lw 0.5 dt 3\n");
	return 0;
}

/* The whole of a file as a string, or NULL. */
static char *plot_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t n = 0, max = 0;

	while (f && n < PLOT_SVG_MAX) {
		size_t k;

		if (n + 1 >= max) {
			char *more = realloc(text, max = max ? max * 2 : 1 << 16);

			if (!more)
				break;
			text = more;
		}
		k = fread(text + n, 1, max - n - 1, f);
		if (k == 0)
			break;
		n += k;
	}
	if (f)
		fclose(f);
	if (text)
		text[n] = '\0';
	return text;
}

/* @args[0] found by PATH, its stderr in file @log; its exit status. */
static int plot_start(char **args, const char *log, int *status, struct err *e)
{
	posix_spawn_file_actions_t files;
	pid_t pid;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (strcmp(log, "/dev/null") == 0)
		posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY, 0);
	rc = posix_spawnp(&pid, args[0], &files, NULL, args, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc)
		return err_set(e, -rc,
			"cannot run gnuplot, which draws the plots (Debian: "
			"gnuplot-nox): %s",
			strerrordesc_np(rc));
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int plot_ready(struct err *e)
{
	char *args[] = { "gnuplot", "--version", NULL };
	int status = 0, rc = plot_start(args, "/dev/null", &status, e);

	if (rc < 0)
		return err_wrap(e, "--html");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : err_set(e, -EIO,
				 "--html: gnuplot --version fails: mend or reinstall gnuplot");
}

static int plot_run(struct plot *p, struct err *e)
{
	char script[PLOT_PATH_MAX], log[PLOT_PATH_MAX];
	char *args[] = { "gnuplot", "-d", script, NULL }, *said;
	int rc, status = 0;

	plot_path(p, "script", script);
	rc = plot_start(args, plot_path(p, "log", log), &status, e);
	if (rc < 0)
		return rc;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	said = plot_read(log);
	err_set(e, -EIO, "gnuplot failed: %.300s", said ? said : "it does not say why");
	free(said);
	return -EIO;
}

/* ---- what is changed ---- */

/* What gnuplot paints black takes the page's colour; what it names, it names for itself. */
static const char *const plot_changes[][2] = {
	{ "color=\"black\"", "color=\"inherit\"" },
	{ "\"black\"", "\"currentColor\"" },
	{ "'black'", "'currentColor'" },
	{ "gpPt", "p@Pt" },
	{ "gpDot", "p@Dot" },
	{ "\"gnuplot_canvas\"", "\"p@canvas\"" },
	{ "'textbox'", "'p@text'" },
	{ "'greybox'", "'p@grey'" },
	{ "id=\"gnuplot_plot_", "id=\"p@plot" },
	{ "<title>Gnuplot</title>", "" },
};

static void plot_change(const char *in, unsigned number, FILE *out)
{
	while (*in) {
		size_t i = 0, n = sizeof(plot_changes) / sizeof(plot_changes[0]);

		while (i < n && strncmp(in, plot_changes[i][0], strlen(plot_changes[i][0])) != 0)
			i++;
		if (i == n) {
			fputc(*in++, out);
			continue;
		}
		in += strlen(plot_changes[i][0]);
		for (const char *c = plot_changes[i][1]; *c; c++) {
			if (*c == '@')
				fprintf(out, "%u", number);
			else
				fputc(*c, out);
		}
	}
}

static int plot_take(struct plot *p, unsigned number, const char *label, char **svg, struct err *e)
{
	char path[PLOT_PATH_MAX], *raw = plot_read(plot_path(p, "svg", path)), *start;
	size_t n = 0;
	FILE *out;

	start = raw ? strstr(raw, "<svg") : NULL;
	if (!start) {
		free(raw);
		return err_set(e, -EIO, "gnuplot drew nothing");
	}
	out = open_memstream(svg, &n);
	if (!out) {
		free(raw);
		return err_set(e, -ENOMEM, "no memory for a plot");
	}
	fprintf(out, "<svg role=\"img\" aria-label=\"%s\"", label);
	plot_change(start + 4, number, out);
	free(raw);
	return fclose(out) == 0 ? 0 : err_set(e, -ENOMEM, "no memory for a plot");
}

int plot_close(struct plot *p, unsigned number, const char *label, char **svg, struct err *e)
{
	static const char *const files[] = { "script", "svg", "log" };
	char path[PLOT_PATH_MAX];
	int rc = -EIO;

	*svg = NULL;
	if (p->script) {
		rc = fclose(p->script) == 0 ? plot_run(p, e)
					    : err_errno(e, "cannot write a plot's script");
		if (rc == 0)
			rc = plot_take(p, number, label, svg, e);
	}
	for (size_t i = 0; p->dir[0] && i < sizeof(files) / sizeof(files[0]); i++)
		unlink(plot_path(p, files[i], path));
	if (p->dir[0])
		rmdir(p->dir);
	return rc;
}
