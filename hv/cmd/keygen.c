/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari keygen: makes the file of a shared key, for two hosts that move guests to each other.
 * Must never print the key.
 * Next in the flow: hv/migrate/chan_key.c.
 */
#include <stdio.h>

#include "hv/cmd/cmd.h"
#include "hv/migrate/chan.h"

static error_t keygen_option(int key, char *arg, struct argp_state *state)
{
	const char **path = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*path)
			argp_error(state, "one file at a time: what is '%s'?", arg);
		*path = arg;
		break;
	case ARGP_KEY_END:
		if (!*path)
			argp_error(state, "which file? FILE is missing");
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp keygen_argp = {
	.parser = keygen_option,
	.args_doc = "FILE",
	.doc = "Make FILE, which nobody else may read, with a new random key. Copy it to the other "
	       "host in a way that keeps it secret; 'watari receive --psk FILE' and 'watari migrate "
	       "--psk FILE' then know each other by it.",
};

int cmd_keygen(int argc, char **argv)
{
	const char *path = NULL;
	struct err e = { 0 };

	cmd_parse(&keygen_argp, argc, argv, &path);
	if (chan_key_make(path, &e) < 0)
		return cmd_fail(&e);
	printf("made %s: copy it to the other host by a way that keeps it secret\n", path);
	return CMD_OK;
}
