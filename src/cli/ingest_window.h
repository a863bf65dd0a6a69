/*
 * The requests of `stele ingest` without a final answer, in order of the input. They stay until
 * then, because any may have to be sent again.
 */
#ifndef CLI_INGEST_WINDOW_H
#define CLI_INGEST_WINDOW_H

#include "cli/ingest_line.h"
#include "cli/ingest_mark.h"

enum {
    INGEST_REQUEST_BYTES = 256 * 1024, /* a request is not filled beyond this */
    INGEST_WINDOW_BYTES = 8 * 1024 * 1024,
    INGEST_WINDOW_COUNT = 1024
};

enum ingest_state {
    REQUEST_WAITING, /* to be sent, possibly again */
    REQUEST_SENT,
    REQUEST_REFUSED /* for now; or for good, but it can be divided */
};

struct ingest_request {
    struct ingest_request *next;
    uint64_t id;
    int64_t first_line, last_line;
    size_t input_bytes; /* of the input that it stands for */
    enum ingest_state state;
    bool ours; /* its producer is the command's */
    bool asks; /* it asks for the state of the producer, and has no lines */
    struct ingest_digest before, digest; /* of the input before it, and up to its last line */
    bool divide;                         /* refused for good because of one of its lines */
    size_t lines; /* where the lines stand in the text, one '\n' before each and behind the last */
    struct buffer text;
};

struct ingest_window {
    struct ingest_request *first, **last;
    size_t count, bytes; /* of all in it */
    size_t sent;         /* of them, those under way */
    uint64_t next_id;
    bool marks;                  /* requests of the command's producer carry a mark */
    struct ingest_digest digest; /* of the input so far, when they do */
};

void ingest_window_init(struct ingest_window *window);
void ingest_window_fini(struct ingest_window *window);
/* Start a request of single mutations at the end, add lines that follow each other, end it. The
 * window has it from the start; a lack of memory shows in its `text.failed`. */
struct ingest_request *ingest_window_add(struct ingest_window *window, const char *producer,
                                         int64_t first_line);
void ingest_request_line(const struct ingest_window *window, struct ingest_request *request,
                         struct span line);
void ingest_request_end(struct ingest_window *window, struct ingest_request *request);
/* A request without lines: its answer has the state of the producer. */
struct ingest_request *ingest_window_add_question(struct ingest_window *window,
                                                  const char *producer);
/* A line that is a batch, as a request by itself. */
struct ingest_request *ingest_window_add_batch(struct ingest_window *window, const char *producer,
                                               int64_t number, struct span line,
                                               const struct ingest_line *look);
/* The request of that id; 0: the first that waits to be sent. NULL: there is none. */
struct ingest_request *ingest_window_find(struct ingest_window *window, uint64_t id);
/* NULL: all. */
void ingest_window_set(struct ingest_window *window, struct ingest_request *request,
                       enum ingest_state state);
/* Remove it, which has its final answer; or also all behind it, whose answers do not matter any
 * more. NULL: nothing. */
void ingest_window_remove(struct ingest_window *window, struct ingest_request *request,
                          bool all_behind);
/* Replace the request by one for each line; false when out of memory, and then nothing has
 * changed. */
bool ingest_window_divide(struct ingest_window *window, struct ingest_request *request,
                          const char *producer);

#endif
