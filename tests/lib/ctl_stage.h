/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control server and its clients on one thread: it moves only when the test turns its loop. The
 * guest is called "g". Next in the flow: tests/unit/ctl_server_test.c, ctl_cancel_test.c.
 */
#ifndef WATARI_TESTS_CTL_STAGE_H
#define WATARI_TESTS_CTL_STAGE_H

#include "hv/ctl/claim.h"
#include "hv/ctl/client.h"
#include "hv/ctl/server.h"

struct ctl_stage {
	char dir[64];
	struct ctl_claim claim;
	struct loop *loop;
	struct ctl_server *server;
};

/* 0, or negative errno; @arg is what @ops are called with. */
int ctl_stage_init(struct ctl_stage *s, const struct ctl_server_ops *ops, void *arg);
void ctl_stage_fini(struct ctl_stage *s);

/* Lets the server do all it can do now. False: its loop never comes to rest. */
bool ctl_stage_turn(struct ctl_stage *s);
/* A client who has connected; NULL: it could not. */
struct ctl_client *ctl_stage_come(struct ctl_stage *s);
/* The next line that the server has for @c now, as of ctl_client_recv(). */
int ctl_stage_hear(struct ctl_stage *s, struct ctl_client *c, json_t **line);

#endif
