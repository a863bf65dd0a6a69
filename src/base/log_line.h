/*
 * One line of the log while it is made, on the stack, so that a lack of memory can be logged. Not
 * in base.h: for the log alone.
 */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include "base/log.h"

/* The size that the kernel writes to a pipe in one piece, so lines of several processes never
 * mix. A value is cut earlier, so one long value leaves room for the others. */
enum { LOG_LINE_SIZE = 4096, LOG_VALUE_SIZE = 640 };

struct log_line {
    char data[LOG_LINE_SIZE];
    size_t length;
    bool json;
    bool cut; /* a field had no room */
};

/* Time, level, component, event. */
void log_line_begin(struct log_line *line, bool json, const char *level, const char *component,
                    const char *event);
void log_line_field(struct log_line *line, const struct log_field *field);
/* With a number as the last field, which always has room, unless it is 0; the name is short. */
void log_line_end(struct log_line *line, const char *name, uint64_t number);

#endif
