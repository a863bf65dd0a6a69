/*
 * One line of the log as it is put together, on the stack, so that running out of memory can be
 * logged. Not in base.h: for the log alone.
 */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include "base/log.h"

/* The size that the kernel writes to a pipe in one piece, so that lines of several processes never
 * mix. A value is cut earlier, so that one long value does not push the others out. */
enum { LOG_LINE_SIZE = 4096, LOG_VALUE_SIZE = 640 };

struct log_line {
    char data[LOG_LINE_SIZE];
    size_t length;
    bool json;
    bool cut; /* a field found no room */
};

/* Time, level, component, event. */
void log_line_begin(struct log_line *line, bool json, const char *level, const char *component,
                    const char *event);
void log_line_field(struct log_line *line, const struct log_field *field);
/* One of a few last fields, for which there is always room; short. */
void log_line_number(struct log_line *line, const char *name, uint64_t number);
void log_line_end(struct log_line *line);

#endif
