/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the control protocol (docs/control-socket.md): one JSON object per line each way
 * over the guest's Unix socket. Here is what both ends share: limits, the runtime directory, and
 * the form of progress and result. Must never do I/O on a socket.
 * Next in the flow: server.h on the guest's side, client.h on the other.
 */
#ifndef WATARI_CTL_PROTO_H
#define WATARI_CTL_PROTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "hv/base/err.h"
#include "hv/migrate/move.h"

#define CTL_LINE_MAX    (64u << 10) /* bytes of a request line, newline included */
#define CTL_DIR_MAX     512         /* bytes of a runtime directory's path, NUL included */
#define CTL_NAME_MAX    64          /* bytes of a guest's name, NUL included */
#define CTL_DIR_DEFAULT "/run/watari"

/* $WATARI_RUNTIME_DIR, or CTL_DIR_DEFAULT where that is unset or empty. Valid until setenv(). */
const char *ctl_runtime_dir(void);

/* True for a name a guest may bear: 1..63 letters, digits, '.', '_', '-', not starting with '.' or
 * '-'. */
bool ctl_name_ok(const char *name);

/* {"ok":true}; NULL without memory. The caller owns it. */
json_t *ctl_ok(void);
/* {"ok":false,"error":SENTENCE}. */
json_t *ctl_error(const struct err *e);

/*
 * 0 if @answer says ok; else -EREMOTEIO with its "error" as the message, or -EPROTO if it is no
 * answer at all.
 */
int ctl_answer_check(const json_t *answer, struct err *e);

/* Every field of the struct, under its own name. NULL without memory. */
json_t *ctl_progress_json(const struct mig_progress *p);
json_t *ctl_result_json(const struct mig_result *r);
/* The event that tells which transport a move takes, and why. */
json_t *ctl_chosen_json(const char *transport, const char *note);
/* The event that tells what a move waits for before it begins. */
json_t *ctl_waiting_json(const char *waits);
/* The reverse; a missing or mistyped key is -EPROTO and named. */
int ctl_progress_read(const json_t *j, struct mig_progress *p, struct err *e);
int ctl_result_read(const json_t *j, struct mig_result *r, struct err *e);

/* Reads an optional whole number @key in @lo..@hi; *@v stays as it is if the key is absent. */
int ctl_get_u64(
	const json_t *j, const char *key, uint64_t lo, uint64_t hi, uint64_t *v, struct err *e);
/* Reads an optional string; *@v stays as it is if the key is absent. Owned by @j. */
int ctl_get_str(const json_t *j, const char *key, const char **v, struct err *e);

#endif
