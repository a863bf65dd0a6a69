/*
 * The rows of a view by a server, in pages, of which only one is in memory. Each answer names the
 * position of its state. When that is another one than the first page's, the further pages are
 * asked for as of that, each behind the last row of the one before.
 */
#include "cli/ask.h"
#include "cli/get.h"

enum {
    PATH_BYTES = 128 * 1024,
    EPOCH_BYTES = 128,
    PAGE = 1000,             /* rows of a page; pages grow */
    PAGE_MOST = 10000,       /* ... up to so many, which servers give unless they are told else, */
    PAGE_BYTES = 1024 * 1024 /* ... while they have less than this */
};

struct get {
    const struct get_options *options;
    struct get_print *print;
    struct ask ask;
    /* of the first page */
    bool begun;
    char epoch[EPOCH_BYTES];
    int64_t offset; /* of its state; negative: it has none */
    bool is_append;
    /* between the pages */
    int64_t page; /* rows to be asked for; 0: as many as the server likes */
    int64_t pages, printed;
    bool shrunk; /* the server refused a larger page */
    bool pinned; /* pages are asked for as of `offset` */
    bool more;
};

/* ---- what is asked ---- */

static int64_t rows_wanted(const struct get *get)
{
    const struct get_options *options = get->options;
    int64_t left = options->take < 0 ? INT64_MAX : options->take - get->printed;
    return get->page < left ? get->page : left;
}

static void add_number(struct buffer *path, const char *name, int64_t number)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lld", (long long)number);
    ask_add(path, name, span_make(text, (size_t)length));
}

static void add_position(const struct get *get, struct buffer *path)
{
    char text[32];
    int length = snprintf(text, sizeof text, "@%lld", (long long)get->offset);
    ask_add(path, "as_of",
            get->pinned ? span_make(text, (size_t)length) : span_of(get->options->as_of));
}

static bool print_path(const struct get *get, struct buffer *path)
{
    const struct get_options *options = get->options;
    const struct buffer *last = &get->print->key;
    bool behind = get->pinned && get->printed && last->length;
    int64_t take = rows_wanted(get), skip = options->skip > 0 ? options->skip : 0;
    buffer_add_string(path, "/v1/views/");
    ask_add_view(path, options->operands.items[0]);
    size_t query = path->length;
    ask_add(path, "key", span_of(options->key));
    if (take && !options->key)
        add_number(path, "take", take);
    if (behind)
        ask_add(path, "behind", buffer_span(last));
    else if (skip + get->printed)
        add_number(path, "skip", skip + get->printed);
    add_position(get, path);
    ask_add(path, "where", span_of(options->where));
    ask_add_filters(path, &options->filters);
    bool done = ask_add_sorts(path, &options->sorts) && !path->failed;
    if (done && path->length > query)
        path->data[query] = '?';
    return done;
}

/* ---- an answer ---- */

static bool is_strange(struct error *error)
{
    return error_set(error, ERROR_NETWORK, "the server answered without rows; is it a stele?");
}

static bool note_first(struct get *get, const struct doc *doc, uint32_t root, struct span epoch)
{
    uint32_t offset = doc_member(doc, root, "offset");
    if (epoch.length >= sizeof get->epoch)
        return false;
    memcpy(get->epoch, epoch.data, epoch.length);
    get->epoch[epoch.length] = '\0';
    if (offset == DOC_NONE || !doc_integer(doc, offset, &get->offset))
        get->offset = -1;
    get->pinned = get->options->as_of && get->offset >= 0;
    get->is_append = doc_member_is(doc, root, "mode", "\"append\"");
    get->begun = true;
    return true;
}

/* Whether the page is of the first one's state. */
static bool is_of_state(const struct get *get, const struct doc *doc, uint32_t root)
{
    uint32_t offset = doc_member(doc, root, "offset");
    int64_t at = -1;
    return (offset == DOC_NONE || doc_integer(doc, offset, &at)) && at == get->offset;
}

static bool take_rows(struct get *get, const struct doc *doc, uint32_t root, uint32_t rows,
                      struct error *error)
{
    int64_t count = doc->nodes[rows].count;
    if (get->options->key && !count)
        return get_lacks_row(get->options, error);
    if (!get_print_rows(get->print, doc, rows, error))
        return false;
    get->pages++;
    get->printed += count;
    get->more = count && doc_member_is(doc, root, "more", "true") &&
                (get->options->take < 0 || get->printed < get->options->take);
    return true;
}

static bool take_answer(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct get *get = argument;
    uint32_t rows = doc_member(doc, root, "rows"), name = doc_member(doc, root, "epoch");
    if (rows == DOC_NONE || doc->nodes[rows].type != DOC_ARRAY || name == DOC_NONE ||
        doc->nodes[name].type != DOC_STRING)
        return is_strange(error);
    struct span epoch = doc_bare(doc_text(doc, name));
    if (!get->begun && !note_first(get, doc, root, epoch))
        return is_strange(error);
    if (!span_equal(epoch, span_of(get->epoch)))
        return error_set(error, ERROR_NETWORK,
                         "the server has another database, or another definition of the view, "
                         "since the first page; try again");
    if (!get->pinned && !is_of_state(get, doc, root)) {
        get->pinned = true; /* and the page is asked for again */
        return get->offset >= 0 || is_strange(error);
    }
    return take_rows(get, doc, root, rows, error);
}

/* ---- a refusal ---- */

/* Fewer rows at once may do. */
static bool is_too_much(const struct get *get, const struct error *error)
{
    const char *code = get->ask.code;
    return strcmp(code, "too-large") == 0 || strcmp(code, "snapshot-limit-exceeded") == 0 ||
           (strcmp(code, "invalid-parameter") == 0 && strstr(error->message, "max_window_rows"));
}

static bool shrink(struct get *get, const struct error *error)
{
    int64_t wanted = rows_wanted(get);
    if (get->options->key || !is_too_much(get, error) || wanted == 1)
        return false;
    get->page = wanted > 1 ? wanted / 2 : PAGE;
    get->shrunk = true;
    return true;
}

/* With the server's words: what it means here, and what helps. */
static bool explain(struct get *get, struct error *error)
{
    const char *view = get->options->operands.items[0];
    int length = (int)strcspn(view, "/");
    struct error cause = *error;
    if (strcmp(get->ask.code, "view-not-found") == 0)
        return error_set(error, cause.code, "%.380s; stele views --url URL lists them",
                         cause.message);
    if (get->is_append && get->pages)
        return error_set(error, cause.code,
                         "%lld rows were printed, which are not all: stele get %.*s/list has all "
                         "rows of an append view, stele events its events (%.200s)",
                         (long long)get->printed, length > 100 ? 100 : length, view, cause.message);
    if (get->pages && get->pinned && !get->options->as_of)
        return error_set(error, cause.code,
                         "the view changed after %lld rows, which are of one state, and of the "
                         "others the server does not know what they were then (%.240s); a larger "
                         "--page makes it fewer pages, up to the server's max_window_rows",
                         (long long)get->printed, cause.message);
    return get->pages ? error_prefix(error, "after %lld rows", (long long)get->printed) : false;
}

static bool read_page(struct get *get, struct error *error)
{
    struct buffer path;
    buffer_init(&path, PATH_BYTES);
    bool done = (print_path(get, &path) ||
                 error_set(error, ERROR_INVALID_PARAMETER, "what is asked for is too long")) &&
                ask_json(&get->ask, &path, take_answer, get, error);
    buffer_fini(&path);
    return done || shrink(get, error) || explain(get, error);
}

static bool is_of_one_state(const struct get *get, struct error *error)
{
    return get->pages < 2 || get->offset >= 0 ||
           error_set(error, ERROR_QUEUE_FULL,
                     "the %lld rows came in %lld pages of several moments, because what asks for "
                     "now() changes with time: some may be missing, or there twice; a larger "
                     "--page, or a smaller --take, makes it one page",
                     (long long)get->printed, (long long)get->pages);
}

/* The next page may be larger: each costs the server the way to its first row. */
static void grow(struct get *get)
{
    if (get->options->page || get->shrunk || !get->pages)
        return;
    if (!get->page)
        get->page = PAGE;
    else if (get->ask.answer.body.length < PAGE_BYTES)
        get->page = get->page < PAGE_MOST / 2 ? 2 * get->page : PAGE_MOST;
}

bool get_of_server(const struct get_options *options, struct get_print *print, struct error *error)
{
    struct get get = {.options = options, .print = print, .page = options->page, .more = true};
    const char *url = options->url ? options->url : "http://127.0.0.1:8877";
    if (!get.page && options->take >= 0)
        get.page = PAGE;
    bool done = ask_open(&get.ask, &options->access, url, error);
    get.ask.has_file = true;
    while (done && get.more && !ferror(stdout)) {
        done = read_page(&get, error);
        grow(&get);
    }
    ask_close(&get.ask);
    return done && get_print_end(print, error) && is_of_one_state(&get, error);
}
