/* The query of GET /v1/views/<id> as an equal subscription. Pure. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/base.h"
#include "wire/wire.h"

struct http_query {
    struct buffer message; /* JSON, without its end */
    struct buffer filters; /* an object, without its end */
    struct buffer query;   /* the members "where" and "sort", each with a comma before it */
    uint32_t seen;         /* names that were there, as bits */
    const char *uses;      /* what may be asked for, which an error names; may be set */
};

/* Whether an argument is not too long. */
bool http_query_fits(struct span argument, struct error *error);
/* Start a query of this view. The id need not be valid. */
void http_query_init(struct http_query *query, struct span view);
void http_query_fini(struct http_query *query);
/* One argument, "name=value", percent-decoded. ERROR_INVALID_PARAMETER names the fault. */
bool http_query_add(struct http_query *query, struct span argument, struct error *error);
/* The message of all arguments; wire_message_fini is due when true. */
bool http_query_end(struct http_query *query, struct wire_message *message, struct error *error);

#endif
