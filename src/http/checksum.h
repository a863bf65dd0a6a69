/* GET /v1/checksum: the sums of the rows that a view shows (docs/drift.md). */
#ifndef HTTP_CHECKSUM_H
#define HTTP_CHECKSUM_H

#include "http/about.h"

extern const struct http_about http_checksum;

#endif
