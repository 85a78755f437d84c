/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a server with its name and its directory (see ctl_stage.h). Must never wait.
 * Next in the flow: hv/ctl/server.c.
 */
#include "tests/lib/ctl_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGE_TURNS 10000

int ctl_stage_init(struct ctl_stage *s, const struct ctl_server_ops *ops, void *arg)
{
	struct err e = { 0 };
	int fd;

	*s = (struct ctl_stage){ .claim = CTL_CLAIM_NONE };
	strcpy(s->dir, "/tmp/ctl-stage-XXXXXX");
	if (!mkdtemp(s->dir))
		return -errno;
	if (ctl_claim_take(&s->claim, s->dir, "g", &e) < 0)
		return e.code;
	fd = ctl_claim_listen(&s->claim, &e);
	s->loop = fd >= 0 ? loop_new(&e) : NULL;
	return s->loop ? ctl_server_new(&s->server, s->loop, fd, ops, arg, &e) : e.code;
}

void ctl_stage_fini(struct ctl_stage *s)
{
	ctl_server_free(s->server);
	loop_free(s->loop);
	ctl_claim_drop(&s->claim);
	rmdir(s->dir);
}

bool ctl_stage_turn(struct ctl_stage *s)
{
	int turns = 0;

	while (loop_once(s->loop, 0) > 0) {
		if (++turns == STAGE_TURNS)
			return false;
	}
	return true;
}

struct ctl_client *ctl_stage_come(struct ctl_stage *s)
{
	struct ctl_client *c;

	if (ctl_client_open(&c, s->dir, "g", NULL) < 0 || !ctl_stage_turn(s))
		return NULL;
	return c;
}

int ctl_stage_hear(struct ctl_stage *s, struct ctl_client *c, json_t **line)
{
	*line = NULL;
	return ctl_stage_turn(s) ? ctl_client_recv(c, line, 0, NULL) : -ELOOP;
}
