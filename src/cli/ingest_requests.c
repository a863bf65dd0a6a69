/* From lines to requests. */
#include "cli/ingest_internal.h"

/* Look at the next line. true: it belongs into the request (NULL: there is none yet), which may be
 * full with it. false: the request ends before it. */
static bool take_line(struct ingest *ingest, struct ingest_request **request)
{
    struct span line;
    struct error error = {0};
    enum ingest_next next = ingest_input_next(ingest->input, &line, &error);
    if (next == INGEST_END)
        ingest->input_ended = true;
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
    switch (look.kind) {
    case INGEST_BLANK:
        ingest->done_bytes += (int64_t)bytes;
        return true;
    case INGEST_NOT_JSON:
        ingest_end_at(ingest, ingest->line, ingest->line, &error);
        return false;
    case INGEST_BATCH:
        *request = ingest_window_add_batch(&ingest->window, ingest->options->producer, ingest->line,
                                           line, &look);
        break;
    case INGEST_MUTATION:
        if (!*request)
            *request = ingest_window_add(&ingest->window, ingest->options->producer, ingest->line);
        if (*request)
            ingest_request_line(*request, line);
        break;
    }
    if (!*request)
        ingest_out_of_memory(ingest);
    return *request && look.kind == INGEST_MUTATION;
}

static bool has_room(const struct ingest *ingest, const struct ingest_request *request)
{
    if (!request)
        return true;
    int64_t lines = request->last_line - request->first_line + 1;
    return lines < (ingest->one_by_one ? 1 : ingest->batch) &&
           request->text.length < INGEST_REQUEST_BYTES;
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
    if (request->text.failed)
        ingest_out_of_memory(ingest);
    return request;
}
