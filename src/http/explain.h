/* GET /v1/explain: why a row is in a view or not, and since when (docs/explain.md). */
#ifndef HTTP_EXPLAIN_H
#define HTTP_EXPLAIN_H

#include "http/about.h"

extern const struct http_about http_explain;

#endif
