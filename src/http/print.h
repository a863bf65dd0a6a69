/* Values of answers as JSON: what may be unknown, and what is cut. */
#ifndef HTTP_PRINT_H
#define HTTP_PRINT_H

#include "http/http_internal.h"

enum { HTTP_SHOWN_QUERY = 1024 /* bytes of a query that are shown */ };

/* A number; null if it is negative. */
void http_print_known(struct buffer *out, int64_t number);
/* A cursor, or null. */
void http_print_seq(struct buffer *out, bool is_known, struct seq seq);
/* A text, cut after so many bytes; then it ends with an ellipsis. */
void http_print_cut(struct buffer *out, struct span text, size_t most);

#endif
