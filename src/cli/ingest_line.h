/* One line of the input: its kind, and the request of a batch. And one answer of the server. */
#ifndef CLI_INGEST_LINE_H
#define CLI_INGEST_LINE_H

#include "json/json.h"

enum ingest_kind {
    INGEST_BLANK,
    INGEST_MUTATION,
    INGEST_BATCH,   /* an object with "mutations": a request of its own */
    INGEST_NOT_JSON /* the error has the reason */
};

/* The kind of a line, and for a batch: whether it names a producer, and the place of its own
 * "id". */
struct ingest_line {
    enum ingest_kind kind;
    bool has_producer;
    int64_t mutations;     /* of a batch */
    size_t id_from, id_to; /* the bytes to leave out, a comma included; equal: none */
};
/* `scratch` is used for parsing. */
struct ingest_line ingest_line_look(struct span line, struct doc *scratch, struct error *error);
/* Append a batch as a request with the command's id. If it names no producer, also with the
 * command's producer, number and mark ("": none). */
bool ingest_line_print_batch(struct buffer *out, struct span line, const struct ingest_line *look,
                             uint64_t id, const char *producer, int64_t number, const char *mark);

/* The content of an answer. */
struct ingest_answer {
    bool refused;
    uint64_t id;
    uint64_t applied, ignored, duplicate, stale, truncated;
    bool retryable;
    bool has_last; /* the producer's last batch, and its mark */
    int64_t last_batch;
    struct span mark;
    const struct tree *unknown_exports; /* NULL: none */
    struct span code, message;          /* of the error; live as long as the tree */
    struct tree *tree;                  /* to be freed */
};
/* false when it is not an answer. */
bool ingest_answer_read(struct span message, struct ingest_answer *answer);

#endif
