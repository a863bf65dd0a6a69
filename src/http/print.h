/* Values of answers as JSON: what may be unknown, and what is cut. */
#ifndef HTTP_PRINT_H
#define HTTP_PRINT_H

#include "http/http_internal.h"

/* A number; null if it is negative. */
void http_print_known(struct buffer *out, int64_t number);
/* What of a view was asked for, as members; long texts are cut, and end with an ellipsis then. */
void http_print_asked(struct buffer *out, const struct asked_facts *asked);

#endif
