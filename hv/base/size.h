/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and rates as people write them: parsing (with the offending text in the error)
 * and printing. */
#ifndef WATARI_BASE_SIZE_H
#define WATARI_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"

/* "512", "64K", "8M", "12G", "1T" (binary multiples, optional "iB" or "B") to bytes. */
int size_parse(const char *s, uint64_t *bytes, struct err *e);
/* "300us", "10ms", "1.5s", "2m"; a bare number is milliseconds. To ns. */
int duration_parse(const char *s, uint64_t *ns, struct err *e);
/* A whole number in @lo..@hi; the error names @what, the text and the range. */
int number_parse(
	const char *s, const char *what, uint64_t lo, uint64_t hi, uint64_t *v, struct err *e);

/* "1.50 GiB", "12.0 KiB", "17 B" into @buf; returns @buf. */
const char *size_format(uint64_t bytes, char *buf, size_t n);
/* "1.23 s", "4.56 ms", "789 us" into @buf; returns @buf. */
const char *duration_format(uint64_t ns, char *buf, size_t n);

#endif
