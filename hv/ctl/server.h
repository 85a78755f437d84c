/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answering side of the control socket: connections, lines in, lines out, on the event loop of
 * the guest's process. Knows no request by name. All calls belong to the loop's thread.
 * Invariant: whatever a client does or fails to do costs bounded memory and never blocks.
 * Next in the flow: guest.h.
 */
#ifndef WATARI_CTL_SERVER_H
#define WATARI_CTL_SERVER_H

#include <jansson.h>
#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/base/loop.h"

#define CTL_CLIENTS_MAX 16
#define CTL_OUT_MAX     (256u << 10) /* bytes that may wait for a reader before it is dropped */

struct ctl_server;
struct ctl_conn; /* one client */

struct ctl_server_ops {
	/*
	 * A request, an object with a string "op". Answer it with ctl_conn_answer(), now or, after
	 * ctl_conn_hold(), later. @request is borrowed.
	 */
	void (*request)(void *arg, struct ctl_conn *c, const char *op, const json_t *request);
	/* A held client sends no more (@gone false) or is gone and must be forgotten (true). */
	void (*leave)(void *arg, struct ctl_conn *c, bool gone);
};

/* Serves the listening socket @listen_fd, which it closes in the end. */
int ctl_server_new(struct ctl_server **out, struct loop *l, int listen_fd,
	const struct ctl_server_ops *ops, void *arg, struct err *e);
void ctl_server_free(struct ctl_server *s); /* drops all clients; NULL is fine */

/* Takes no new clients from now on; those that are here stay. */
void ctl_server_close_door(struct ctl_server *s);
/* Waits until all answers are with their readers, at most @timeout_ms. */
void ctl_server_drain(struct ctl_server *s, int timeout_ms);

/* The answer to the request in hand. Takes over the reference; NULL answers "no memory". */
void ctl_conn_answer(struct ctl_conn *c, json_t *answer);
/* The same with {"ok":false}. */
void ctl_conn_refuse(struct ctl_conn *c, const struct err *e);
/* The request in hand is answered later; the client is neither dropped for idling nor at its EOF.
 */
void ctl_conn_hold(struct ctl_conn *c);
/* A line ahead of the answer. Takes over the reference. Dropped where the reader is behind. */
void ctl_conn_event(struct ctl_conn *c, json_t *event);

#endif
