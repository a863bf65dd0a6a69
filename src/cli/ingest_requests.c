/* From lines to requests. */
#include "cli/ingest_internal.h"

/* ---- what the server has already ---- */

/* Our lines that an earlier run delivered. Lines that name a producer themselves are known by
 * that. */
static bool is_known(const struct ingest *ingest, const struct ingest_line *look)
{
    bool ours =
        look->kind == INGEST_MUTATION || (look->kind == INGEST_BATCH && !look->has_producer);
    return ingest->line <= ingest->known_line && (ours || look->kind == INGEST_BLANK);
}

static void tell_other_input(struct ingest *ingest, const char *what)
{
    struct error error;
    error_set(&error, ERROR_INVALID_PARAMETER,
              "%s, but producer '%.128s' was fed %lld lines: this is another input; feed it under "
              "another --producer, or forget this one (stele producers --forget)",
              what, ingest->options->producer, (long long)ingest->known_line);
    ingest_end_at(ingest, ingest->line, ingest->line, &error);
}

/* The last line that the server has was read: is it the one that it was? */
static bool check_mark(struct ingest *ingest)
{
    if (ingest->line != ingest->known_line ||
        !ingest_mark_differs(&ingest->window.digest, span_of(ingest->known_mark)))
        return true;
    tell_other_input(ingest, "the lines up to here are not those that were fed before");
    return false;
}

static bool pass_over(struct ingest *ingest, const struct ingest_line *look, size_t bytes)
{
    ingest->duplicate += (uint64_t)(look->kind == INGEST_MUTATION ? 1 : look->mutations);
    ingest->done_lines += look->kind != INGEST_BLANK;
    ingest->done_bytes += (int64_t)bytes;
    return true;
}

static void end_input(struct ingest *ingest)
{
    if (!ingest->input_ended && ingest->line < ingest->known_line)
        tell_other_input(ingest, "the input ends here");
    ingest->input_ended = true;
}

/* ---- lines ---- */

/* A line that is new: into the request, or a request of its own. */
static bool take_new(struct ingest *ingest, struct ingest_request **request,
                     const struct ingest_line *look, struct span line, size_t bytes,
                     const struct error *error)
{
    switch (look->kind) {
    case INGEST_BLANK:
        ingest->done_bytes += (int64_t)bytes;
        return true;
    case INGEST_NOT_JSON:
        ingest_end_at(ingest, ingest->line, ingest->line, error);
        return false;
    case INGEST_BATCH:
        *request = ingest_window_add_batch(&ingest->window, ingest->options->producer, ingest->line,
                                           line, look);
        break;
    case INGEST_MUTATION:
        if (!*request)
            *request = ingest_window_add(&ingest->window, ingest->options->producer, ingest->line);
        if (*request)
            ingest_request_line(&ingest->window, *request, line);
        break;
    }
    if (!*request)
        ingest_out_of_memory(ingest);
    return *request && look->kind == INGEST_MUTATION;
}

/* Look at the next line. true: it belongs into the request (NULL: there is none yet), which may be
 * full with it. false: the request ends before it. */
static bool take_line(struct ingest *ingest, struct ingest_request **request)
{
    struct span line;
    struct error error = {0};
    enum ingest_next next = ingest_input_next(ingest->input, &line, &error);
    if (next == INGEST_END)
        end_input(ingest);
    if (next == INGEST_BROKEN)
        ingest_end_at(ingest, ingest->line + 1, ingest->line + 1, &error);
    if (next != INGEST_LINE)
        return false;
    size_t bytes = line.length + 1;
    line = span_without_bom(line);
    struct ingest_line look = ingest_line_look(line, &ingest->scratch, &error);
    if (*request && look.kind != INGEST_MUTATION) {
        ingest_input_put_back(ingest->input);
        return false;
    }
    ingest->line++;
    bool more = is_known(ingest, &look) ? pass_over(ingest, &look, bytes)
                                        : take_new(ingest, request, &look, line, bytes, &error);
    if (ingest->window.marks)
        ingest_digest_add(&ingest->window.digest, line);
    return check_mark(ingest) && more;
}

static bool has_room(const struct ingest *ingest, const struct ingest_request *request)
{
    if (!request)
        return true;
    int64_t lines = request->last_line - request->first_line + 1;
    return lines < ingest->batch && request->text.length < INGEST_REQUEST_BYTES;
}

struct ingest_request *ingest_make_request(struct ingest *ingest)
{
    struct ingest_request *request = NULL;
    while (has_room(ingest, request) && take_line(ingest, &request))
        ;
    if (!request)
        return NULL;
    if (request->lines > 0)
        ingest_request_end(&ingest->window, request);
    ingest->sent_lines += request->last_line - request->first_line + 1;
    if (request->text.failed || ingest->window.digest.failed)
        ingest_out_of_memory(ingest);
    return request;
}
