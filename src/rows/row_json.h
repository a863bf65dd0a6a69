/* Rows as plain JSON, up to a number of bytes: a row_sink. */
#ifndef ROWS_ROW_JSON_H
#define ROWS_ROW_JSON_H

#include "rows/row_sink.h"

struct row_json {
    struct row_sink sink;
    struct wire_batch rows; /* to its JSON the rows are appended, with commas between */
    struct buffer removed;  /* keys, the same way */
    size_t max_bytes;       /* of both; a first row may be longer */
    bool too_large;         /* more rows were wanted */
};

void row_json_init(struct row_json *json, const struct view *view, enum wire_mode mode,
                   size_t max_bytes);
void row_json_fini(struct row_json *json);
/* Start over. */
void row_json_clear(struct row_json *json);

#endif
