/* The query of a command, by options that several commands take. */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

#include "cli/command.h"

/* Borrowed from the options. */
struct query_options {
    struct option_texts filters; /* each "path=value" */
    const char *where;           /* a predicate; NULL: none */
    struct option_texts sorts;   /* each "path" or "-path" */
};

/* The error names the fault; ERROR_INVALID_PARAMETER. */
bool query_check(const struct query_options *options, struct error *error);
/* Append it as members of an object, each with a comma before it. It was checked. */
bool query_print(struct buffer *out, const struct query_options *options);

#endif
