/*
 * Structured log lines on stderr: time, level, component, a stable event name and fields. Any
 * thread. A line has at most 4 KiB. Control characters, quotes and invalid UTF-8 in a value are
 * escaped, so a text from a client can neither forge a field or a line nor break the JSON. A text
 * that looks like a signed token is left out.
 *
 * A line that comes more than 10 times within 10 s (same component and event; 1,000 times of the
 * component "audit") is held back and counted. The next line that passes has the count in the field
 * held_back; otherwise log_tick writes a line of its own.
 *
 * No thread waits long for the reader of the log: lines without room are lost, and counted.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Set the level (default info) and the format (default text) of the process, and levels of single
 * components, e.g. "server=debug,hub=warning" (NULL or "": none); all others have the general one.
 * False if log_check_levels refuses them: then nothing has changed. May be called at any time. */
bool log_configure(enum log_level level, enum log_format format, const char *levels);
/* ERROR_CONFIGURATION names the fault. */
bool log_check_levels(const char *levels, struct error *error);

/*
 * A field: a name and one value, which is escaped by itself. A field whose name is NULL is left
 * out; a text that is NULL is empty. Made by the functions below, so that a value of another type
 * does not compile; borrows its texts.
 */
enum log_kind { LOG_END, LOG_QUOTED, LOG_BARE, LOG_SIGNED, LOG_UNSIGNED };

struct log_field {
    const char *name;
    enum log_kind kind;
    struct span text;
    const char *suffix; /* a text behind the text; or NULL */
    uint64_t number;
};

static inline struct log_field log_span(const char *name, struct span text)
{
    return (struct log_field){.name = name, .kind = LOG_QUOTED, .text = text};
}

static inline struct log_field log_text(const char *name, const char *text)
{
    return log_span(name, span_of(text));
}

/* A file that is named after another one, with an ending. */
static inline struct log_field log_beside(const char *name, const char *file, const char *ending)
{
    return (struct log_field){
        .name = name, .kind = LOG_QUOTED, .text = span_of(file), .suffix = ending};
}

/* A text that seldom needs quotes, and has them only when it does. */
static inline struct log_field log_word(const char *name, const char *text)
{
    return (struct log_field){.name = name, .kind = LOG_BARE, .text = span_of(text)};
}

static inline struct log_field log_signed(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_SIGNED, .number = (uint64_t)number};
}

static inline struct log_field log_unsigned(const char *name, uint64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_UNSIGNED, .number = number};
}

/* An integer of any type. JSON has it as a number, or as a string from 2^53 on. */
/* clang-format off */
#define log_number(name, number)                                                                   \
    _Generic((number) + 0,                                                                         \
        int: log_signed, long: log_signed, long long: log_signed,                                  \
        unsigned: log_unsigned, unsigned long: log_unsigned, unsigned long long: log_unsigned)     \
    (name, number)
/* clang-format on */

/*
 * A line: component, event and any number of fields.
 *     log_info("store", "migrated", log_text("file", path), log_number("rows", rows));
 */
#define log_error(component, ...) log_at(LOG_LEVEL_ERROR, component, __VA_ARGS__)
#define log_warning(component, ...) log_at(LOG_LEVEL_WARNING, component, __VA_ARGS__)
#define log_info(component, ...) log_at(LOG_LEVEL_INFO, component, __VA_ARGS__)
#define log_debug(component, ...) log_at(LOG_LEVEL_DEBUG, component, __VA_ARGS__)
#define log_at(level, component, ...)                                                              \
    LOG_WRITE(level, component, __VA_ARGS__, (struct log_field){.kind = LOG_END})
#define LOG_WRITE(level, component, event, ...)                                                    \
    log_write(level, component, event, (const struct log_field[]){__VA_ARGS__})

/* The function behind the macros above; the last field is LOG_END. */
void log_write(enum log_level level, const char *component, const char *event,
               const struct log_field *fields);
/* Lines so far, including those held back; and those that were lost because no program read them.
 */
struct log_counts {
    uint64_t lines[LOG_LEVEL_DEBUG + 1]; /* by level */
    uint64_t lost;
};
struct log_counts log_counts(void);
/* Write the counts of lines whose 10 s are over. To be called now and then. */
void log_tick(void);

#endif
