/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari show: a guest's effective definition, of the living guest, of the one this host keeps, or
 * of a file. What it prints, 'watari run' takes.
 * Next in the flow: inifile.c, hv/ctl/definition.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "hv/cmd/ask.h"
#include "hv/cmd/define.h"
#include "hv/cmd/state_dir.h"
#include "hv/ctl/history.h"
#include "hv/ctl/client.h"
#include "hv/ctl/definition.h"
#include "hv/vm/definition.h"

struct show_args {
	const char *source;
	bool json;
};

static error_t show_option(int key, char *arg, struct argp_state *state)
{
	struct show_args *a = state->input;

	switch (key) {
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->source, arg, state); break;
	case ARGP_KEY_END:
		if (!a->source)
			argp_error(state, "which guest? NAME is missing, or a FILE");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option show_options[] = {
	{ .name = "json", .key = 'j', .doc = "Print it as one JSON object" },
	{ 0 },
};

static const struct argp show_argp = {
	.options = show_options,
	.parser = show_option,
	.args_doc = "NAME|FILE",
	.doc = "Print the definition of a guest with every default filled in, as an INI file that "
	       "'watari run' takes: of the guest NAME that lives here, or else of the one whose "
	       "definition this host keeps; or of FILE (with a slash, or ending in .ini).",
};

/* Asks the living guest. -ENOENT: there is none. */
static int show_ask(const char *name, struct vm_config *c, struct err *e)
{
	json_t *answer = NULL;
	int rc = ctl_ask(NULL, name, "definition", &answer, e);

	vm_def_init(c);
	if (rc == 0)
		rc = ctl_definition_read(json_object_get(answer, "definition"), c, e);
	json_decref(answer);
	return rc;
}

static int show_find(
	const char *source, struct vm_config *c, struct inifile_moved *m, struct err *e)
{
	int rc;

	*m = (struct inifile_moved){ .to = "" };
	if (state_is_file(source))
		return define_source(source, c, m, e);
	rc = show_ask(source, c, e);
	if (rc != -ENOENT && rc != -ECONNREFUSED)
		return rc;
	rc = define_source(source, c, m, e);
	return rc == -ENOENT ? err_set(e, rc,
				       "no guest '%s' lives here, nor does this host keep "
				       "its definition in %s",
				       source, ctl_state_dir())
			     : rc;
}

static int show_json(const struct vm_config *c, const struct inifile_moved *m, struct err *e)
{
	json_t *j = ctl_definition_json(c);

	if (j && m->to[0])
		json_object_set_new(j, "moved", json_pack("{s:s,s:s}", "to", m->to, "at", m->at));
	if (!j)
		return err_set(e, -ENOMEM, "no memory for the definition");
	ask_print_json(j);
	json_decref(j);
	return 0;
}

int cmd_show(int argc, char **argv)
{
	struct show_args args = { 0 };
	struct inifile_moved moved;
	struct vm_config config;
	struct err e = { 0 };
	int rc;

	cmd_parse(&show_argp, argc, argv, &args);
	rc = show_find(args.source, &config, &moved, &e);
	if (rc == 0 && args.json)
		rc = show_json(&config, &moved, &e);
	else if (rc == 0)
		inifile_print(stdout, &config, &moved);
	return rc < 0 ? cmd_fail(&e) : CMD_OK;
}
