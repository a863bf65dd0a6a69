/* A side that is compared: a server, or a file. Both answer by the same text. */
#include "cli/definitions.h"
#include "cli/drift.h"
#include "rows/past_point.h"
#include "rows/view_past.h"
#include "rows/view_sum.h"

enum {
    PATH_BYTES = 64 * 1024,
    DEPTH = 4,
    FILE_ROWS = 20000, /* of the log, in one transaction */
    ANSWER_MS = 120 * 1000
};

/* ---- life ---- */

bool drift_side_open_server(struct drift_side *side, const char *url,
                            const struct access_options *access, struct error *error)
{
    *side = (struct drift_side){.name = url};
    return ask_open(&side->ask, access, url, error);
}

bool drift_side_open_file(struct drift_side *side, const char *path, const char *config_file,
                          const struct option_texts *stacks, struct error *error)
{
    const struct database_options options = {.path = path, .read_only = true};
    *side = (struct drift_side){.name = path, .is_file = true};
    return (side->views = definitions_read(config_file, stacks, error)) != NULL &&
           (side->database = database_open(&options, error)) != NULL &&
           (side->reader = store_reader_open(side->database, error)) != NULL;
}

void drift_side_close(struct drift_side *side)
{
    if (!side->name)
        return;
    if (!side->is_file)
        ask_close(&side->ask);
    if (side->reader)
        store_reader_close(side->reader);
    if (side->database)
        database_close(side->database);
    view_set_free(side->views);
    *side = (struct drift_side){.name = NULL};
}

/* ---- sums ---- */

void drift_sums_init(struct drift_sums *sums)
{
    *sums = (struct drift_sums){.parts = DOC_NONE, .keys = DOC_NONE};
    doc_init(&sums->doc, UINT32_MAX / 2, UINT32_MAX / 2);
}

void drift_sums_fini(struct drift_sums *sums)
{
    doc_fini(&sums->doc);
}

static struct span string_of(const struct doc *doc, uint32_t object, const char *name)
{
    uint32_t node = doc_member(doc, object, name);
    return node == DOC_NONE || doc->nodes[node].type != DOC_STRING ? span_make(NULL, 0)
                                                                   : doc_bare(doc_text(doc, node));
}

/* As it is printed. */
static bool is_sum(struct span text)
{
    enum { DIGITS = 64 };
    size_t i = 0;
    while (i < text.length && text.data[i] && strchr("0123456789abcdef", text.data[i]))
        i++;
    return text.length == DIGITS && i == DIGITS;
}

static bool read_sums(const struct drift_side *side, struct drift_sums *sums, struct span text,
                      struct error *error)
{
    struct doc *doc = &sums->doc;
    uint32_t root, rows;
    doc_clear(doc);
    if (!doc_parse(doc, text, DEPTH, &root, error))
        return side->is_file ? false : ask_is_strange(&side->ask, error);
    rows = doc_member(doc, root, "rows");
    sums->seq_text = string_of(doc, root, "seq");
    sums->sum = string_of(doc, root, "sum");
    sums->order = string_of(doc, root, "order");
    sums->scoped = doc_member_is(doc, root, "scoped", "true");
    sums->parts = doc_member(doc, root, "parts");
    sums->keys = doc_member(doc, root, "keys");
    return (sums->seq_text.data && seq_parse(sums->seq_text, &sums->seq) && is_sum(sums->sum) &&
            (!sums->order.data || is_sum(sums->order)) && rows != DOC_NONE &&
            doc_integer(doc, rows, &sums->rows) && sums->rows >= 0) ||
           error_set(error, ERROR_NETWORK, "the server answered without sums");
}

static bool sum_of_server(struct drift_side *side, const char *view, bool parts, const char *keys,
                          struct drift_sums *sums, struct error *error)
{
    struct buffer path;
    struct span body;
    buffer_init(&path, PATH_BYTES);
    buffer_add_string(&path, "/v1/checksum?view=");
    ask_encode(&path, span_of(view));
    buffer_add_string(&path, parts ? "&parts=1" : "");
    ask_add(&path, "keys", span_of(keys));
    const struct ask_request request = {.path = buffer_string(&path), .total_ms = ANSWER_MS};
    bool done = request.path ? ask_server(&side->ask, &request, &body, error)
                             : error_set(error, ERROR_INVALID_PARAMETER, "the view is too long");
    buffer_fini(&path);
    return done && read_sums(side, sums, body, error);
}

static bool run_sum(struct drift_side *side, struct view_sum *sum, struct error *error)
{
    if (!store_read_begin(side->reader, error))
        return false;
    bool done = true;
    while (done && !sum->done)
        done = view_sum_run(sum, side->reader, UINT64_MAX, error);
    store_read_end(side->reader);
    return done;
}

static bool check_view(const struct view *view, struct error *error)
{
    bool wants_key = view->output == VIEW_KEYED || (view->mode == VIEW_STATE && !view->stage);
    return !wants_key ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "view '%.128s' shows one row, named by its key; compare a list", view->id);
}

static bool sum_of_file(struct drift_side *side, const struct view *view, bool parts,
                        const char *keys, struct drift_sums *sums, struct error *error)
{
    struct view_sum sum;
    struct buffer text;
    if (!check_view(view, error))
        return false;
    view_sum_init(&sum);
    buffer_init(&text, UINT32_MAX);
    sum.view = view;
    sum.with_parts = parts;
    sum.most_bytes = SIZE_MAX;
    bool done = (!keys || view_sum_want(&sum, span_of(keys), error)) &&
                run_sum(side, &sum, error) &&
                (view_sum_print(&sum, span_of(database_state(side->database).epoch), &text) ||
                 error_set(error, ERROR_MEMORY, "out of memory")) &&
                read_sums(side, sums, buffer_span(&text), error);
    buffer_fini(&text);
    view_sum_fini(&sum);
    return done;
}

bool drift_side_ask(struct drift_side *side, const char *view, bool parts, const char *keys,
                    struct drift_sums *sums, struct error *error)
{
    if (!side->is_file)
        return sum_of_server(side, view, parts, keys, sums, error);
    const struct view *defined = definitions_find(side->views, view, error);
    bool done = defined && sum_of_file(side, defined, parts, keys, sums, error);
    view_unref(defined);
    return done;
}

int drift_side_status(const struct drift_side *side)
{
    return side->is_file ? 0 : side->ask.answer.status;
}

bool drift_side_wants_key(const struct drift_side *side)
{
    static const char missing[] = "'key' is missing:"; /* as rows/wanted.c has it */
    if (drift_side_status(side) != DRIFT_WRONG)
        return false;
    struct tree *body = tree_parse(buffer_span(&side->ask.answer.body), NULL);
    struct span message = tree_string(tree_member(body, "message"));
    bool wants = message.length >= sizeof missing - 1 &&
                 memcmp(message.data, missing, sizeof missing - 1) == 0;
    tree_free(body);
    return wants;
}

/* ---- a row as it was ---- */

/* A row, as it is shown; absent: there is none. */
static bool sum_row(struct span key, struct span row, struct sum *sum, bool *found,
                    struct error *error)
{
    struct row_sum made;
    struct buffer scratch;
    *found = row.data != NULL;
    if (!*found)
        return true;
    buffer_init(&scratch, UINT32_MAX);
    bool done = row_sum_make(&made, key, row, &scratch);
    *sum = made.row;
    buffer_fini(&scratch);
    return done || error_set(error, ERROR_MEMORY, "out of memory");
}

struct asked_row {
    struct span key;
    struct sum *sum;
    bool *found;
};

static bool take_row(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    const struct asked_row *asked = argument;
    uint32_t rows = doc_member(doc, root, "rows");
    if (rows == DOC_NONE || doc->nodes[rows].type != DOC_ARRAY)
        return error_set(error, ERROR_NETWORK, "the server answered without rows");
    uint32_t row = doc_first(doc, rows);
    uint32_t data = row == DOC_NONE ? row : doc_member(doc, row, "data");
    return sum_row(asked->key, data == DOC_NONE ? span_make(NULL, 0) : doc_text(doc, data),
                   asked->sum, asked->found, error);
}

static bool row_of_server(struct drift_side *side, const char *view, struct span seq,
                          struct asked_row *asked, struct error *error)
{
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    buffer_add_string(&path, "/v1/views/");
    ask_add_view(&path, view);
    buffer_add_string(&path, "?as_of=");
    ask_encode(&path, seq);
    ask_add(&path, "key", asked->key);
    bool done = ask_json(&side->ask, &path, take_row, asked, error);
    buffer_fini(&path);
    return done;
}

static bool show_row(const struct view *view, struct span row, const struct asked_row *asked,
                     struct error *error)
{
    struct buffer shown;
    buffer_init(&shown, UINT32_MAX);
    bool done = !row.data || view_project(view, row, &shown) ||
                error_set(error, ERROR_MEMORY, "out of memory");
    done = done && sum_row(asked->key, row.data ? buffer_span(&shown) : row, asked->sum,
                           asked->found, error);
    buffer_fini(&shown);
    return done;
}

static bool find_row(struct drift_side *side, const struct view *view, int64_t at,
                     const struct asked_row *asked, struct error *error)
{
    struct row_past past;
    row_past_init(&past);
    past.view = view;
    past.key = asked->key;
    past.at = at;
    past.scan_rows = FILE_ROWS;
    past.explains = true;
    bool done = true;
    while (done && past.stage != PAST_DONE)
        done = view_past_run_row(&past, side->reader, error);
    const struct replay *replay = &past.replay;
    if (done && replay->is == REPLAY_UNKNOWN)
        done = row_past_refuse(&past, error);
    done =
        done &&
        show_row(view, replay->is == REPLAY_THERE ? buffer_span(&replay->row) : span_make(NULL, 0),
                 asked, error);
    row_past_fini(&past);
    return done;
}

/* Where other rows decide whether a row is there, or the time does, a file does not tell it. */
static bool row_of_file(struct drift_side *side, const struct view *view, struct span seq,
                        const struct asked_row *asked, struct error *error)
{
    struct past_search search = {.view = view, .now_ms = clock_wall_ms(), .scan_rows = FILE_ROWS};
    if (past_rows_are_cut(view) || view_stage_is_timed(view->stage))
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "what view '%.128s' was is not told of a file: it is cut, or asks for "
                         "now()",
                         view->id);
    bool done = past_point_read(seq, &search.point, error);
    while (done && !search.done)
        done = past_search_run(&search, side->reader, error);
    return done && find_row(side, view, search.at, asked, error);
}

bool drift_side_row_at(struct drift_side *side, const char *view, struct span key,
                       struct span seq_text, struct sum *sum, bool *found, struct error *error)
{
    struct asked_row asked = {key, sum, found};
    if (!side->is_file)
        return row_of_server(side, view, seq_text, &asked, error);
    const struct view *defined = definitions_find(side->views, view, error);
    bool done = defined && row_of_file(side, defined, seq_text, &asked, error);
    view_unref(defined);
    return done;
}
