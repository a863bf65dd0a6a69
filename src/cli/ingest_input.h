/*
 * The input of `stele ingest`, read by a thread of its own, so that a silent pipe delays nothing.
 */
#ifndef CLI_INGEST_INPUT_H
#define CLI_INGEST_INPUT_H

#include "base/base.h"

enum { INGEST_LINE_LIMIT = 64 * 1024 * 1024 };

struct ingest_input;

/* "-" is standard input. `wake` is called on the reading thread when there is something new. */
struct ingest_input *ingest_input_open(const char *path, void (*wake)(void *argument),
                                       void *argument, struct error *error);
void ingest_input_close(struct ingest_input *input);
/* Length of a regular file, -1 of anything else. */
int64_t ingest_input_size(const struct ingest_input *input);

enum ingest_next {
    INGEST_LINE,
    INGEST_NOTHING_YET,
    INGEST_END,
    INGEST_BROKEN /* the error has the reason */
};
/* The next line, without its end; borrowed until the next call. */
enum ingest_next ingest_input_next(struct ingest_input *input, struct span *line,
                                   struct error *error);
/* The last line is not wanted yet: the next call gives it again. */
void ingest_input_put_back(struct ingest_input *input);

#endif
