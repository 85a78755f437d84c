/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last of what a guest wrote to its console, for readers who come and go. A reader is a
 * position, so any number of them, however slow, costs nothing and holds nobody up: one that falls
 * too far behind is told how much it missed.
 * Invariant: memory is bounded; a writer never waits for a reader.
 * Next in the flow: hv/ctl/console.h (the readers).
 */
#ifndef WATARI_VM_SCROLLBACK_H
#define WATARI_VM_SCROLLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"

#define SCROLLBACK_SIZE   (64u << 10) /* bytes kept */
#define SCROLLBACK_TRAVEL (16u << 10) /* of them move with the guest: each costs blackout */

struct scrollback;

int scrollback_new(struct scrollback **out, struct err *e);
void scrollback_free(struct scrollback *s); /* NULL is fine */

/* Any thread. Wakes the descriptor if it is watched. */
void scrollback_write(struct scrollback *s, const void *p, size_t n);

/* An eventfd, readable when there is more, once scrollback_watch() was asked to tell. */
int scrollback_fd(const struct scrollback *s);
void scrollback_watch(struct scrollback *s, bool on);
/* Takes the news off the descriptor; before reading, or what comes meanwhile is not told. */
void scrollback_told(struct scrollback *s);

/* The position of the oldest byte that is kept. */
uint64_t scrollback_start(struct scrollback *s);
/*
 * Copies up to @max bytes from *@pos on. Does not move *@pos, but over bytes that are not kept any
 * more: their number is in *@lost. Returns the bytes copied; 0: there is nothing new.
 */
size_t scrollback_read(struct scrollback *s, uint64_t *pos, void *dst, size_t max, uint64_t *lost);

/* The last SCROLLBACK_TRAVEL bytes: u32 length, bytes. */
void scrollback_save(struct scrollback *s, struct wbuf *w);
/* @r's bytes go before what is written from now on. Sets r->failed for an impossible length. @s
 * may be NULL: then they are read and dropped. */
void scrollback_load(struct scrollback *s, struct rbuf *r);

#endif
