/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side of the control socket: connect to a guest by name, send a request, read lines.
 * Every wait has an end. One client belongs to one thread.
 * Next in the flow: hv/cmd/ask.c, hv/cmd/migrate.c, bench/.
 */
#ifndef WATARI_CTL_CLIENT_H
#define WATARI_CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "hv/base/err.h"
#include "hv/ctl/proto.h"

#define CTL_ANSWER_MS 4000  /* how long a guest may take to answer anything but a move */
#define CTL_END_MS    20000 /* how long an ended guest's process may take to give all back */

struct ctl_client;

/*
 * Connects to guest @name in @dir (NULL: ctl_runtime_dir()). -ENOENT: no such guest;
 * -ECONNREFUSED: its process is dead; both with a sentence.
 */
int ctl_client_open(struct ctl_client **out, const char *dir, const char *name, struct err *e);
void ctl_client_close(struct ctl_client *c); /* NULL is fine; ends a move that is not committed */

/* For poll(): readable when ctl_client_recv() with a timeout of 0 may have something. */
int ctl_client_fd(const struct ctl_client *c);

/* Sends one request; @request stays the caller's. */
int ctl_client_send(struct ctl_client *c, const json_t *request, struct err *e);
/*
 * The next line, waiting up to @timeout_ms. 1: *@out is a new reference; 0: nothing came in time;
 * -ECONNRESET when the guest's process ended, -EPROTO when it speaks no JSON.
 */
int ctl_client_recv(struct ctl_client *c, json_t **out, int timeout_ms, struct err *e);
/*
 * Waits until the guest's process is gone, and with it its memory and the locks on its disks.
 * @process is of ctl_client_process(), taken while it lived, and is closed. False: not in
 * @timeout_ms, or @process is negative.
 */
int ctl_client_process(const struct ctl_client *c); /* a pidfd, or -1 where it cannot be seen */
bool ctl_process_gone(int process, int timeout_ms);
/* Tells the guest that nobody waits any more (a move is given up), and keeps reading possible. */
void ctl_client_give_up(struct ctl_client *c);

/*
 * One question, one answer: {"op":@op} to guest @name. 0: *@answer (a new reference) says ok;
 * otherwise the error, which may be the guest's own words. @answer may be NULL.
 */
int ctl_ask(const char *dir, const char *name, const char *op, json_t **answer, struct err *e);
/* The same with a whole @request, which is released. */
int ctl_ask_json(
	const char *dir, const char *name, json_t *request, json_t **answer, struct err *e);

/*
 * Ends guest @name at once and waits for its process, CTL_END_MS at most: what a guest with very
 * much memory does not end in goes on without us.
 */
int ctl_kill(const char *dir, const char *name, json_t **answer, struct err *e);

/*
 * The names of the guests that live in @dir (NULL: as above), sorted; sockets whose process is
 * dead are removed. A directory that is not there has no guests. @names is a malloc'ed array of
 * malloc'ed strings.
 */
int ctl_list(const char *dir, char ***names, size_t *n, struct err *e);
void ctl_list_free(char **names, size_t n);

#endif
