/*
 * Structured log lines on stderr: level, component, a stable event name and key=value fields.
 * Any thread. A line repeated more than 10 times within 10 s (same component and event) is held
 * back and counted; the count is told in the next line that passes.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* The process-wide level (default info) and format (default text). */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* `fields` is a printf format that yields the fields as text, e.g. "file=%s rows=%d"; values with
 * spaces are written in double quotes by the caller. NULL or "" for none. */
void log_write(enum log_level level, const char *component, const char *event, const char *fields,
               ...) __attribute__((format(printf, 4, 5)));

#define log_error(component, event, ...) log_write(LOG_LEVEL_ERROR, component, event, __VA_ARGS__)
#define log_warning(component, event, ...)                                                         \
    log_write(LOG_LEVEL_WARNING, component, event, __VA_ARGS__)
#define log_info(component, event, ...) log_write(LOG_LEVEL_INFO, component, event, __VA_ARGS__)
#define log_debug(component, event, ...) log_write(LOG_LEVEL_DEBUG, component, event, __VA_ARGS__)

#endif
