/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source hears from its request to the last page: a copy of two rounds, and the freeze. The
 * events of an array's initialiser; the hand-over follows. Next in the flow: hv/migrate/source.h.
 */
#ifndef WATARI_TESTS_SOURCE_COPY_H
#define WATARI_TESTS_SOURCE_COPY_H

#include "hv/migrate/source.h"

/* clang-format off */
#define SOURCE_COPY_EVENTS \
	{ .type = SOURCE_EV_CONNECTED }, \
	{ .type = SOURCE_EV_READY, .a = 300000, .b = 300000, .c = 20000 }, \
	{ .type = SOURCE_EV_TRACKING, .a = 1000 }, \
	{ .type = SOURCE_EV_SENT, .a = 4096000 }, \
	{ .type = SOURCE_EV_ACKED, .a = 1 }, \
	{ .type = SOURCE_EV_HARVESTED, .a = 10, .b = 10, .c = 100000 }, \
	{ .type = SOURCE_EV_FROZEN }, \
	{ .type = SOURCE_EV_HARVESTED, .a = 12, .b = 2, .c = 100000 }, \
	{ .type = SOURCE_EV_SENT, .a = 49152 }
/* clang-format on */

#endif
