/*
 * Structured log lines on stderr: time, level, component, a stable event name and fields. Any
 * thread. A line has at most 4 KiB; control characters, quotes and invalid UTF-8 in a value are
 * escaped, so that what a client sent can neither forge a field or a line nor break the JSON; what
 * looks like a signed token is left out.
 *
 * A line repeated more than 10 times within 10 s (same component and event; 1,000 times of the
 * component "audit") is held back and counted. The count is told by the next line that passes, in
 * the field held_back, or by a line of its own from log_tick.
 *
 * Nobody waits long for who reads the log: lines for which there is no room are lost, and counted.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* The process-wide level (default info) and format (default text). Levels of components are
 * forgotten. May be called at any time. */
void log_configure(enum log_level level, enum log_format format);
/* Levels of single components, e.g. "server=debug,hub=warning"; all others have the general one.
 * NULL or "" for none. ERROR_CONFIGURATION names what is wrong; then nothing was changed. May be
 * called at any time. */
bool log_configure_levels(const char *levels, struct error *error);
/* Whether that text would be taken. */
bool log_check_levels(const char *levels, struct error *error);
bool log_enabled(const char *component, enum log_level level);

/*
 * `fields` is a printf format of fields that are separated by a space, each a name, "=" and a value
 * of plain text and conversions, in double quotes where it may hold spaces: "file=\"%s\" rows=%d".
 * Each value is escaped by itself. In JSON a value that is one integer is a number, every other a
 * string. Conversions: d i u x c s p g f, with *, width and precision. NULL or "" for no fields.
 */
void log_write(enum log_level level, const char *component, const char *event, const char *fields,
               ...) __attribute__((format(printf, 4, 5)));
/* Lines of a level so far, those counted that were held back. */
uint64_t log_count(enum log_level level);
/* Lines that were lost because nobody read them. */
uint64_t log_lost(void);
/* Tell what was held back and whose 10 s are over. To be called now and then. */
void log_tick(void);

#define log_error(component, event, ...) log_write(LOG_LEVEL_ERROR, component, event, __VA_ARGS__)
#define log_warning(component, event, ...)                                                         \
    log_write(LOG_LEVEL_WARNING, component, event, __VA_ARGS__)
#define log_info(component, event, ...) log_write(LOG_LEVEL_INFO, component, event, __VA_ARGS__)
#define log_debug(component, event, ...) log_write(LOG_LEVEL_DEBUG, component, event, __VA_ARGS__)

#endif
