/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the form of a log line (see log.h). Must never fail: what cannot be written is dropped. */
#include "hv/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Relaxed atomics: written before threads start, but a sanitizer cannot know that. */
static int log_level_now = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_level_now, (int)level, __ATOMIC_RELAXED);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const words[] = { "error: ", "warning: ", "", "debug: " };
	char line[1024];
	size_t n;
	va_list ap;

	if ((int)level > __atomic_load_n(&log_level_now, __ATOMIC_RELAXED))
		return;
	n = (size_t)snprintf(line, sizeof(line) - 1, "watari: %s", words[level]);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
