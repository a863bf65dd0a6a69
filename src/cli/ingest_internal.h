/* Shared by the files of `stele ingest`: the state of a run. */
#ifndef CLI_INGEST_INTERNAL_H
#define CLI_INGEST_INTERNAL_H

#include "cli/ingest.h"
#include "cli/ingest_input.h"
#include "cli/ingest_line.h"
#include "cli/ingest_window.h"
#include "client/client.h"
#include "terminal/terminal.h"

enum { INGEST_FIRST_PAUSE_MS = 50, INGEST_LONGEST_PAUSE_MS = 2000 };

enum { INGEST_UNKNOWN = 8, INGEST_UNKNOWN_NAME = 132 };

/* Exports that the server does not show, by name, as far as its answers have named them. */
struct ingest_unknown {
    char names[INGEST_UNKNOWN][INGEST_UNKNOWN_NAME];
    size_t count;
};

struct ingest {
    const struct ingest_options *options;
    struct client *client;
    struct ingest_input *input;
    struct ingest_window window;
    struct doc scratch;
    struct progress progress;
    int64_t line;       /* the last that was read */
    int64_t done_lines; /* and bytes: with a final answer */
    int64_t done_bytes;
    uint64_t applied, ignored, duplicate, stale, truncated;
    int64_t batch;      /* lines a request may have */
    int64_t sent_lines; /* for --rate; repetitions do not count */
    uint64_t started_us;
    uint64_t answer_us; /* when the last answer came, or the run started */
    bool answered;      /* on this connection */
    bool asking;        /* the state of the producer is not known yet (ingest.h, rule 1) */
    int64_t known_line; /* the server has the lines up to this one */
    char known_mark[INGEST_MARK_SIZE]; /* and their hash; "": none is known */
    struct ingest_unknown unknown;
    bool holding;       /* something was refused: wait for all answers, then send again */
    bool stuck;         /* and that needs a new connection */
    uint64_t resume_us; /* when */
    uint64_t pause_ms;  /* before the next time */
    bool input_ended;   /* also if the remaining input is not wanted because of `error` */
    bool abandoned; /* because of `error` the requests in the window are not tried again either */
    bool disconnected;  /* and that was reported */
    struct error error; /* why it ends early; ERROR_NONE while all is well */
    int64_t error_line; /* its line; 0: no certain line */
};

/* End at once, with this error. */
void ingest_abandon(struct ingest *ingest, const struct error *error);
/* These lines cannot be applied: end with this error, once the lines before them are. Of several
 * such places the first in the input counts. */
void ingest_end_at(struct ingest *ingest, int64_t first_line, int64_t last_line,
                   const struct error *error);
void ingest_out_of_memory(struct ingest *ingest);

/* The next request from the input, at the end of the window; NULL when there is none now. */
struct ingest_request *ingest_make_request(struct ingest *ingest);
/* A connection ended without any answer to its requests: they may be too large for the server,
 * so send smaller ones. */
void ingest_slow_down(struct ingest *ingest);
/* One message of the server. */
void ingest_take_answer(struct ingest *ingest, struct span message);

#endif
