/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: lines on stderr, "watari: warning: ...". For events nobody asked about; the answer to a
 * question travels as a return value and struct err instead. One call is one write(2), so lines of
 * several threads never mix.
 */
#ifndef WATARI_BASE_LOG_H
#define WATARI_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * What is printed: @level and all before it. Set once by hv/cmd before threads start; the default
 * is LOG_LEVEL_INFO. (The one mutable global below hv/cmd:
 * docs/decisions/0002-libraries-and-rules.md.)
 */
void log_set_level(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
