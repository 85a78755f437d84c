/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the INI form of a definition (see inifile.h). Must never take a line it does not understand.
 * Invariant: every error names file and line. The library keeps no line of a section and says
 * little about odd characters, so a look at the bare lines goes first.
 * Next in the flow: run.c, show.c, state_dir.c.
 */
#include "hv/cmd/inifile.h"

#include <errno.h>
#include <ini_configobj.h>
#include <ini_valueobj.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/vm/definition.h"

#define INIFILE_MAX      (256u << 10) /* bytes */
#define INIFILE_BLANKS   " \t"
#define INIFILE_SECTIONS (VM_DISKS_MAX + VM_NETS_MAX + 8)
#define INIFILE_KEY      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

struct inifile {
	const char *path;
	char dir[VM_PATH_MAX]; /* of the file, absolute */
	struct vm_config *c;
	struct inifile_moved *moved;
	struct ini_cfgobj *ini;
	struct {
		char name[80];
		unsigned line;
	} section[INIFILE_SECTIONS];
	unsigned sections;
};

static int inifile_at(const struct inifile *f, unsigned line, struct err *e)
{
	return err_wrap(e, "%s:%u", f->path, line);
}

/* ---- the bare lines -------------------------------------------------------------------------- */

static int scan_section(struct inifile *f, const char *p, unsigned line, struct err *e)
{
	size_t n;

	p += 1 + strspn(p + 1, INIFILE_BLANKS);
	n = strcspn(p, "]");
	while (n && strchr(INIFILE_BLANKS, p[n - 1]))
		n--;
	if (f->sections == INIFILE_SECTIONS || n >= sizeof(f->section[0].name)) {
		err_set(e, -EINVAL, "one section too many, or its name is too long");
		return inifile_at(f, line, e);
	}
	memcpy(f->section[f->sections].name, p, n);
	f->section[f->sections++].line = line;
	return 0;
}

static int scan_line(struct inifile *f, const char *p, unsigned line, struct err *e)
{
	json_t *text = json_string(p); /* NULL if it is no UTF-8 */
	size_t blanks = strspn(p, INIFILE_BLANKS);
	int rc = 0;

	if (!text)
		rc = err_set(e, -EINVAL, "this is not UTF-8 text");
	json_decref(text);
	for (const char *q = p; rc == 0 && *q; q++) {
		if ((unsigned char)*q < 0x20 && *q != '\t')
			rc = err_set(e, -EINVAL, "control character 0x%02x", (unsigned char)*q);
	}
	if (rc == 0 && (p[blanks] == '\0' || p[blanks] == '#' || p[blanks] == ';'))
		return 0;
	if (rc == 0 && p[blanks] == '[')
		return scan_section(f, p + blanks, line, e);
	if (rc == 0 && f->sections == 0)
		rc = err_set(e, -EINVAL, "a key before the first section");
	if (rc == 0) {
		size_t n = blanks + strspn(p + blanks, INIFILE_KEY);

		n += strspn(p + n, INIFILE_BLANKS);
		if (p[n] != '=')
			rc = err_set(e, -EINVAL,
				"'%.40s' is not a section, KEY = VALUE or # comment", p);
	}
	return rc ? inifile_at(f, line, e) : 0;
}

static int inifile_scan(struct inifile *f, const char *text, size_t n, struct err *e)
{
	char *copy = malloc(n + 1), *next = copy;
	int rc = 0;

	if (!copy)
		return err_set(e, -ENOMEM, "no memory for %s", f->path);
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (strlen(copy) != n)
		rc = err_set(e, -EINVAL, "%s holds a NUL byte: it is no text", f->path);
	for (unsigned line = 1; rc == 0 && next; line++) {
		char *p = strsep(&next, "\n");
		size_t len = strlen(p);

		if (len && p[len - 1] == '\r')
			p[len - 1] = '\0';
		rc = scan_line(f, p, line, e);
	}
	free(copy);
	return rc;
}

static unsigned inifile_line_of(const struct inifile *f, const char *section)
{
	for (unsigned i = 0; i < f->sections; i++) {
		if (strcmp(f->section[i].name, section) == 0)
			return f->section[i].line;
	}
	return 1;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* A value in quotes, where \ takes the next character as it is, in place. */
static int value_unquote(char *v, struct err *e)
{
	size_t n = strlen(v), to = 0;

	if (v[0] != '"')
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (v[i] == '"' && i == n - 1) {
			v[to] = '\0';
			return 0;
		}
		if (v[i] == '"')
			break;
		if (v[i] == '\\')
			i++;
		v[to++] = v[i];
	}
	return err_set(e, -EINVAL,
		"a value that begins with a quote ends with the next one; "
		"write \\\" for one inside");
}

static int moved_set(struct inifile_moved *m, const char *key, const char *value, struct err *e)
{
	if (strcmp(key, "to") == 0 && strlen(value) < sizeof(m->to))
		strcpy(m->to, value);
	else if (strcmp(key, "at") == 0 && strlen(value) < sizeof(m->at))
		strcpy(m->at, value);
	else
		return err_set(
			e, -EINVAL, "unknown key '%s', or too long: [moved] has to, at", key);
	return 0;
}

/* "guest", "moved", "disk NAME", "net NAME": which, and where the NAME begins ("": none). */
static int section_parse(const char *s, enum vm_def_section *kind, const char **name, bool *moved)
{
	*name = "";
	*moved = strcmp(s, "moved") == 0;
	for (int i = 0; !*moved && i < VM_DEF_SECTIONS; i++) {
		const char *word = vm_def_section_name((enum vm_def_section)i);
		size_t n = strlen(word);

		if (strncmp(s, word, n) != 0 || (s[n] && !strchr(INIFILE_BLANKS, s[n])))
			continue;
		*kind = (enum vm_def_section)i;
		*name = s + n + strspn(s + n, INIFILE_BLANKS);
		return (i == VM_DEF_GUEST) == ((*name)[0] == '\0') ? 0 : -EINVAL;
	}
	return *moved ? 0 : -EINVAL;
}

static int inifile_key(struct inifile *f, const char *section, const char *key, struct err *e)
{
	enum vm_def_section kind = VM_DEF_GUEST;
	struct value_obj *vo = NULL;
	const char *name, *raw = "";
	char *value = NULL;
	uint32_t line = 0;
	bool moved;
	int rc = 0;

	if (ini_get_config_valueobj(section, key, f->ini, INI_GET_FIRST_VALUE, &vo) || !vo ||
		value_get_line(vo, &line) || value_get_concatenated(vo, &raw))
		return err_set(e, -EINVAL, "%s: key '%s' cannot be read", f->path, key);
	value = strdup(raw ? raw : "");
	if (!value)
		return err_set(e, -ENOMEM, "no memory for %s", f->path);
	(void)section_parse(section, &kind, &name, &moved); /* inifile_section() has seen it */
	rc = value_unquote(value, e);
	if (rc == 0 && moved)
		rc = moved_set(f->moved, key, value, e);
	else if (rc == 0)
		rc = vm_def_set(f->c, kind, name, key, value, f->dir, e);
	free(value);
	return rc ? inifile_at(f, line, e) : 0;
}

static int inifile_section(struct inifile *f, const char *section, struct err *e)
{
	enum vm_def_section kind = VM_DEF_GUEST;
	const char *name;
	char **keys;
	bool moved;
	int n = 0, rc = section_parse(section, &kind, &name, &moved);

	if (rc < 0)
		err_set(e, rc, "section [%s] is none of [guest], [disk NAME], [net NAME]", section);
	else if (!moved)
		rc = vm_def_set(f->c, kind, name, NULL, NULL, NULL, e);
	if (rc < 0)
		return inifile_at(f, inifile_line_of(f, section), e);
	keys = ini_get_attribute_list(f->ini, section, &n, NULL);
	for (int i = 0; rc == 0 && keys && i < n; i++)
		rc = inifile_key(f, section, keys[i], e);
	ini_free_attribute_list(keys);
	return rc;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The library's first complaint: "Error (10) on line 3: Duplicate key is not allowed." */
static int inifile_complain(struct inifile *f, struct err *e)
{
	char **list = NULL;
	unsigned line = 0;
	int at = 0;

	if (ini_config_get_errors(f->ini, &list) == 0 && list && list[0] &&
		sscanf(list[0], "%*[^)]) on line %u: %n", &line, &at) == 1 && at) {
		err_set(e, -EINVAL, "%s", list[0] + at);
		inifile_at(f, line, e);
	} else {
		err_set(e, -EINVAL, "%s is not an INI file that can be read", f->path);
	}
	if (list)
		ini_config_free_errors(list);
	return e ? e->code : -EINVAL;
}

/* Where the paths in the file begin. */
static int inifile_dir(struct inifile *f, struct err *e)
{
	const char *slash = strrchr(f->path, '/');
	char dir[VM_PATH_MAX], *full;
	int rc = 0;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - f->path) + 1 : 1,
		slash ? f->path : ".");
	full = realpath(dir, NULL);
	if (!full)
		return err_errno(e, "cannot tell where %s is", f->path);
	if (strlen(full) >= sizeof(f->dir))
		rc = err_set(e, -ENAMETOOLONG, "%s: its path is too long", f->path);
	else
		strcpy(f->dir, full);
	free(full);
	return rc;
}

int inifile_parse(const char *path, char *text, size_t n, struct vm_config *c,
	struct inifile_moved *m, struct err *e)
{
	struct inifile *f = calloc(1, sizeof(*f));
	struct ini_cfgfile *file = NULL;
	char **sections = NULL;
	int count = 0, rc;

	if (!f)
		return err_set(e, -ENOMEM, "no memory for %s", path);
	f->path = path;
	f->c = c;
	f->moved = m;
	*m = (struct inifile_moved){ .to = "" };
	rc = inifile_dir(f, e);
	if (rc == 0)
		rc = inifile_scan(f, text, n, e);
	if (rc == 0 && n == 0)
		rc = err_set(e, -EINVAL, "%s is empty", path);
	if (rc)
		goto out;
	if (ini_config_create(&f->ini) || ini_config_file_from_mem(text, (uint32_t)n, &file)) {
		rc = err_set(e, -ENOMEM, "cannot read %s", path);
		goto out;
	}
	if (ini_config_parse(file, INI_STOP_ON_ANY, INI_MV1S_ERROR | INI_MV2S_ERROR | INI_MS_ERROR,
		    INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, f->ini)) {
		rc = inifile_complain(f, e);
		goto out;
	}
	sections = ini_get_section_list(f->ini, &count, NULL);
	for (int i = 0; rc == 0 && sections && i < count; i++)
		rc = inifile_section(f, sections[i], e);
out:
	ini_free_section_list(sections);
	ini_config_file_destroy(file);
	ini_config_destroy(f->ini);
	free(f);
	return rc;
}

int inifile_read(const char *path, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	FILE *in = fopen(path, "re");
	char *text = malloc(INIFILE_MAX + 1);
	size_t n;
	int rc;

	if (!in || !text) {
		rc = err_errno(e, "cannot read %s", path);
		goto out;
	}
	n = fread(text, 1, INIFILE_MAX + 1, in);
	if (ferror(in))
		rc = err_errno(e, "cannot read %s", path);
	else if (n > INIFILE_MAX)
		rc = err_set(e, -EFBIG, "%s is longer than %u bytes", path, INIFILE_MAX);
	else
		rc = inifile_parse(path, text, n, c, m, e);
out:
	if (in)
		fclose(in);
	free(text);
	return rc;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_value(FILE *to, const char *key, const char *v)
{
	size_t n = strlen(v);

	if (v[0] != '"' && v[0] != ' ' && v[n - 1] != ' ') {
		fprintf(to, "%s = %s\n", key, v);
		return;
	}
	fprintf(to, "%s = \"", key);
	for (; *v; v++)
		fprintf(to, "%s%c", *v == '"' || *v == '\\' ? "\\" : "", *v);
	fputs("\"\n", to);
}

static void print_item(void *arg, const struct vm_def_item *it)
{
	FILE *to = arg;

	if (it->key)
		print_value(to, it->key, it->text);
	else if (it->name)
		fprintf(to, "\n[%s %s]\n", vm_def_section_name(it->section), it->name);
	else
		fprintf(to, "[%s]\n", vm_def_section_name(it->section));
}

void inifile_print(FILE *to, const struct vm_config *c, const struct inifile_moved *m)
{
	vm_def_each(c, print_item, to);
	if (m && m->to[0])
		fprintf(to, "\n[moved]\nto = %s\nat = %s\n", m->to, m->at);
}
