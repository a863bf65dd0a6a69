#include "cli/ingest_window.h"

enum { TEXT_LIMIT = 256 * 1024 * 1024 };

void ingest_window_init(struct ingest_window *window)
{
    *window = (struct ingest_window){.next_id = 1};
    window->last = &window->first;
}

static void free_request(struct ingest_request *request)
{
    buffer_fini(&request->text);
    memory_free(request);
}

void ingest_window_fini(struct ingest_window *window)
{
    while (window->first) {
        struct ingest_request *next = window->first->next;
        free_request(window->first);
        window->first = next;
    }
}

/* ---- making requests ---- */

static struct ingest_request *new_request(struct ingest_window *window, int64_t line)
{
    struct ingest_request *request = memory_new(sizeof(*request));
    if (!request)
        return NULL;
    request->id = window->next_id++;
    request->first_line = line;
    request->last_line = line;
    buffer_init(&request->text, TEXT_LIMIT);
    return request;
}

static void append(struct ingest_window *window, struct ingest_request *request)
{
    *window->last = request;
    window->last = &request->next;
    window->count++;
}

/* The batch number is that of the last line, so it comes behind the lines. */
static struct ingest_request *begin(struct ingest_window *window, const char *producer,
                                    int64_t line)
{
    struct ingest_request *request = new_request(window, line);
    if (!request)
        return NULL;
    request->last_line = line - 1;
    request->ours = true;
    request->before = request->digest = window->digest;
    buffer_printf(&request->text, "{\"id\":%llu,\"producer\":", (unsigned long long)request->id);
    doc_escape(&request->text, span_of(producer));
    buffer_add_string(&request->text, ",\"mutations\":[");
    request->lines = request->text.length;
    return request;
}

struct ingest_request *ingest_window_add(struct ingest_window *window, const char *producer,
                                         int64_t first_line)
{
    struct ingest_request *request = begin(window, producer, first_line);
    if (request)
        append(window, request);
    return request;
}

struct ingest_request *ingest_window_add_question(struct ingest_window *window,
                                                  const char *producer)
{
    struct ingest_request *request = new_request(window, 1);
    if (!request)
        return NULL;
    request->last_line = 0;
    request->ours = request->asks = true;
    /* No line has this number. A producer that is further takes it as a repetition, and says so. */
    buffer_printf(&request->text, "{\"id\":%llu,\"producer\":", (unsigned long long)request->id);
    doc_escape(&request->text, span_of(producer));
    buffer_add_string(&request->text, ",\"batch\":0,\"mutations\":[]}");
    append(window, request);
    window->bytes += request->text.length;
    return request;
}

void ingest_request_line(const struct ingest_window *window, struct ingest_request *request,
                         struct span line)
{
    buffer_add_string(&request->text, request->last_line < request->first_line ? "\n" : ",\n");
    buffer_add_span(&request->text, line);
    request->input_bytes += line.length + 1;
    request->last_line++;
    if (window->marks)
        ingest_digest_add(&request->digest, line);
}

static void end(struct ingest_window *window, struct ingest_request *request)
{
    char mark[INGEST_MARK_SIZE];
    buffer_printf(&request->text, "\n],\"batch\":%lld", (long long)request->last_line);
    if (window->marks) {
        ingest_mark_print(&request->digest, mark);
        buffer_printf(&request->text, ",\"mark\":\"%s\"", mark);
    }
    buffer_add_char(&request->text, '}');
}

void ingest_request_end(struct ingest_window *window, struct ingest_request *request)
{
    end(window, request);
    window->bytes += request->text.length;
}

struct ingest_request *ingest_window_add_batch(struct ingest_window *window, const char *producer,
                                               int64_t number, struct span line,
                                               const struct ingest_line *look)
{
    struct ingest_request *request = new_request(window, number);
    if (!request)
        return NULL;
    request->ours = !look->has_producer;
    request->input_bytes = line.length + 1;
    char mark[INGEST_MARK_SIZE] = "";
    request->digest = window->digest;
    if (window->marks) {
        ingest_digest_add(&request->digest, line);
        ingest_mark_print(&request->digest, mark);
    }
    ingest_line_print_batch(&request->text, line, look, request->id, producer, number, mark);
    append(window, request);
    window->bytes += request->text.length;
    return request;
}

/* ---- keeping track ---- */

struct ingest_request *ingest_window_find(struct ingest_window *window, uint64_t id)
{
    struct ingest_request *each = window->first;
    while (each && (id ? each->id != id : each->state != REQUEST_WAITING))
        each = each->next;
    return each;
}

static void set_one(struct ingest_window *window, struct ingest_request *request,
                    enum ingest_state state)
{
    window->sent -= request->state == REQUEST_SENT;
    window->sent += state == REQUEST_SENT;
    request->state = state;
}

void ingest_window_set(struct ingest_window *window, struct ingest_request *request,
                       enum ingest_state state)
{
    if (request)
        set_one(window, request, state);
    for (struct ingest_request *each = request ? NULL : window->first; each; each = each->next)
        set_one(window, each, state);
}

static struct ingest_request **link_of(struct ingest_window *window,
                                       const struct ingest_request *request)
{
    struct ingest_request **link = &window->first;
    while (*link != request)
        link = &(*link)->next;
    return link;
}

static void remove_one(struct ingest_window *window, struct ingest_request *request)
{
    struct ingest_request **link = link_of(window, request);
    set_one(window, request, REQUEST_WAITING);
    *link = request->next;
    if (!*link)
        window->last = link;
    window->count--;
    window->bytes -= request->text.length;
    free_request(request);
}

void ingest_window_remove(struct ingest_window *window, struct ingest_request *request,
                          bool all_behind)
{
    while (request) {
        struct ingest_request *next = all_behind ? request->next : NULL;
        remove_one(window, request);
        request = next;
    }
}

/* ---- dividing ---- */

/* The line that starts behind the '\n' at `at`; *next is the '\n' behind it. The comma that joins
 * it to the next line stays out. */
static struct span line_at(const struct buffer *text, size_t at, size_t *next)
{
    const char *start = text->data + at + 1;
    const char *end = memchr(start, '\n', text->length - at - 1);
    size_t length = (size_t)(end - start);
    *next = at + 1 + length;
    if (end[1] != ']')
        length--;
    return span_make(start, length);
}

/* Requests for all lines of one, as a list. */
static struct ingest_request *divided(struct ingest_window *window,
                                      const struct ingest_request *request, const char *producer)
{
    struct ingest_request *first = NULL, **last = &first;
    size_t at = request->lines;
    struct ingest_digest digest = request->before;
    for (int64_t number = request->first_line; number <= request->last_line; number++) {
        struct ingest_request *part = begin(window, producer, number);
        *last = part;
        if (part) {
            part->before = part->digest = digest;
            ingest_request_line(window, part, line_at(&request->text, at, &at));
            end(window, part);
            digest = part->digest;
            last = &part->next;
        }
        if (part && !part->text.failed)
            continue;
        while (first) {
            part = first->next;
            free_request(first);
            first = part;
        }
        return NULL;
    }
    return first;
}

bool ingest_window_divide(struct ingest_window *window, struct ingest_request *request,
                          const char *producer)
{
    struct ingest_request *first = divided(window, request, producer);
    if (!first)
        return false;
    struct ingest_request **link = link_of(window, request), *last = first;
    window->bytes += first->text.length;
    window->count++;
    while (last->next) {
        last = last->next;
        window->bytes += last->text.length;
        window->count++;
    }
    last->next = request->next;
    *link = first;
    if (!last->next)
        window->last = &last->next;
    /* Take the old one's share out, now that nothing points to it. */
    window->sent -= request->state == REQUEST_SENT;
    window->count--;
    window->bytes -= request->text.length;
    free_request(request);
    return true;
}
