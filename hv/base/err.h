/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one struct err per operation, filled by the leaf that knows the cause and given context
 * by its callers on the way up. Never exits, never prints: only hv/cmd does.
 * Invariant: err.code is 0 (no error) or a negative errno, and then err.msg is a sentence a person
 * can act on, without a trailing newline.
 * Next in the flow: hv/cmd/main.c prints what arrives.
 */
#ifndef WATARI_BASE_ERR_H
#define WATARI_BASE_ERR_H

#define ERR_MSG_MAX 512 /* bytes, terminating NUL included; longer messages are cut */

struct err {
	int code;
	char msg[ERR_MSG_MAX];
};

/*
 * Fills @e (may be NULL) with @code, a negative errno, and a message. Returns @code, so that a
 * leaf can say `return err_set(e, -EINVAL, "...")`. Any thread; @e belongs to the caller.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set() with -errno, and ": " plus strerror(errno) appended to the message. */
int err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts context and ": " before the message already in @e. Returns e->code (or -EIO if @e is NULL).
 */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the error. */
void err_clear(struct err *e);

#endif
