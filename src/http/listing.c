#include "http/listing.h"

#include "http/http_internal.h"

enum {
    /* Of one step: so long that a list takes few, so short that nobody else waits for long. */
    STEP_PASSED = 2048, /* items that are passed over, */
    STEP_PRINTED = 64,  /* ... and printed, with what each costs */
    PAGE_BYTES = 1024 * 1024,
    REPLY_BYTES = 16 * 1024 * 1024,
    ID_DIGITS = 18
};

/* ---- what is asked ---- */

/* A page's part of the list, by its query. */
struct http_page {
    uint64_t after;
    int64_t limit;
    bool has_after, has_limit;
};

static bool read_number(struct span text, size_t digits, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.length > 0 && text.length <= digits;
}

static bool read_limit(struct http_page *page, struct span value, struct error *error)
{
    uint64_t limit;
    bool good = value.length <= ID_DIGITS && read_number(value, 4, &limit) && limit > 0 &&
                limit <= HTTP_LISTING_MOST;
    if (!good)
        return error_set(error, ERROR_INVALID_PARAMETER, "'limit' must be a number from 1 to %d",
                         HTTP_LISTING_MOST);
    page->limit = (int64_t)limit;
    return true;
}

static bool read_argument(struct http_page *page, struct span argument, struct error *error)
{
    struct span token;
    if (!argument.length || access_is_token(argument, &token))
        return true;
    bool is_limit = span_starts_with(argument, "limit="),
         is_after = span_starts_with(argument, "after=");
    if ((is_limit && page->has_limit) || (is_after && page->has_after))
        return error_set(error, ERROR_INVALID_PARAMETER, "'%.5s' stands there twice",
                         argument.data);
    page->has_limit |= is_limit;
    page->has_after |= is_after;
    if (is_limit)
        return read_limit(page, span_make(argument.data + 6, argument.length - 6), error);
    if (is_after)
        return read_number(span_make(argument.data + 6, argument.length - 6), ID_DIGITS,
                           &page->after) ||
               error_set(error, ERROR_INVALID_PARAMETER, "'after' must be an id from this list");
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "there is no parameter '%.*s'; use after or limit",
                     argument.length > 64 ? 64 : (int)argument.length, argument.data);
}

static bool page_read(struct http_page *page, struct span query, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span argument;
    size_t at = 0;
    *page = (struct http_page){.limit = HTTP_LISTING_DEFAULT};
    while ((argument = http_next_argument(query, &at, room)).data)
        if (!read_argument(page, argument, error))
            return false;
    return true;
}

/* ---- one on its way ---- */

struct http_listing {
    const struct http_list *list;
    struct http_page page;
    struct roster_place place;
    struct buffer out;
    int64_t count;
    bool one;  /* the item behind page.after alone is wanted, */
    bool ends; /* ... to be ended */
};

static void listing_free(struct http_listing *listing)
{
    if (!listing)
        return;
    roster_end(&listing->place);
    buffer_fini(&listing->out);
    memory_free(listing);
}

static void free_source(struct http_request *request)
{
    listing_free(request->listing);
    request->listing = NULL;
    request->source = NULL;
    request->http->listings--;
}

/* ---- answers ---- */

static void respond(struct http_request *request, struct error *error)
{
    struct http_listing *listing = request->listing;
    struct http_content content = {
        .status = 200, .type = HTTP_JSON, .headers = "Cache-Control: no-store\r\n"};
    struct buffer body = listing->out;
    buffer_init(&listing->out, 0);
    request->watches = false;
    free_source(request);
    if (error->code == ERROR_NONE && body.failed)
        error_set(error, ERROR_MEMORY, "out of memory for the list");
    if (error->code == ERROR_NONE)
        http_request_respond_large(request, &content, &body);
    else
        http_request_respond_error(request, error);
    buffer_fini(&body);
}

static void respond_list(struct http_request *request, bool more)
{
    struct error error = {.code = ERROR_NONE};
    buffer_printf(&request->listing->out, "%s],\"more\":%s}\n", request->listing->count ? "\n" : "",
                  more ? "true" : "false");
    respond(request, &error);
}

/* The item behind the number before the one that is asked for; NULL: there is none. */
static void respond_one(struct http_request *request, struct roster_item *item)
{
    struct http_listing *listing = request->listing;
    struct error error = {.code = ERROR_NONE};
    uint64_t id = listing->page.after + 1;
    if (!item || item->number != id) {
        error_set(&error, ERROR_NOT_FOUND, "there is no %s %llu now; GET %s lists them",
                  listing->list->item, (unsigned long long)id, listing->list->path);
    } else {
        listing->list->print(request->http, item, &listing->out);
        buffer_add_char(&listing->out, '\n');
        if (listing->ends)
            listing->list->end(request, item);
    }
    respond(request, &error);
}

/* ---- the steps ---- */

static void step_list(struct http_request *request)
{
    struct http_listing *listing = request->listing;
    struct roster *roster = listing->list->roster(request->http);
    size_t passed = STEP_PASSED, printed = 0;
    struct roster_item *item = NULL;
    while (printed < STEP_PRINTED && (item = roster_next(roster, &listing->place, &passed))) {
        if (listing->count == listing->page.limit || listing->out.length > PAGE_BYTES) {
            respond_list(request, true);
            return;
        }
        buffer_add_string(&listing->out, listing->count++ ? ",\n" : "\n");
        printed += 1 + listing->list->print(request->http, item, &listing->out);
    }
    if (!item && passed)
        respond_list(request, false);
    else
        net_want_write(request->connection);
}

static void step_one(struct http_request *request)
{
    struct http_listing *listing = request->listing;
    size_t passed = STEP_PASSED;
    struct roster_item *item =
        roster_next(listing->list->roster(request->http), &listing->place, &passed);
    if (item || passed)
        respond_one(request, item);
    else
        net_want_write(request->connection);
}

static void go_on(struct http_request *request)
{
    INVARIANT(request->watches);
    if (request->listing->one)
        step_one(request);
    else
        step_list(request);
}

static const struct http_source steps = {.go_on = go_on, .free = free_source};

/* ---- requests ---- */

static void start(struct http_request *request, struct http_listing *listing)
{
    struct http *http = request->http;
    http->listings++;
    request->listing = listing;
    request->source = &steps;
    request->watches = true;
    if (!listing->one) {
        buffer_add_char(&listing->out, '{');
        listing->list->print_head(http, &listing->out);
        buffer_printf(&listing->out, "\"%s\":[", listing->list->member);
    }
    roster_start(listing->list->roster(http), &listing->place, listing->page.after);
    http_request_await(request);
    net_want_write(request->connection);
}

static struct http_listing *listing_new(const struct http_list *list,
                                        const struct net_connection *connection, struct span path,
                                        struct error *error)
{
    struct http_listing *listing = memory_new(sizeof *listing);
    size_t prefix = strlen(list->path) + 1;
    uint64_t id = 0;
    if (!listing) {
        error_set(error, ERROR_MEMORY, "out of memory while taking a request");
        return NULL;
    }
    listing->list = list;
    listing->one = path.length >= prefix;
    listing->ends = net_state(connection).request->method == HTTP_DELETE;
    buffer_init(&listing->out, REPLY_BYTES);
    bool good = page_read(&listing->page, net_state(connection).request->query, error);
    if (good && listing->one) {
        good = (read_number(span_make(path.data + prefix, path.length - prefix), ID_DIGITS, &id) &&
                id > 0) ||
               error_set(error, ERROR_NOT_FOUND,
                         "a %s is named by its id, a number; GET %s lists "
                         "them",
                         list->item, list->path);
        listing->page.after = id - 1;
    }
    if (good)
        return listing;
    listing_free(listing);
    return NULL;
}

static bool may_list(const struct http *http, const struct principal *principal,
                     struct error *error)
{
    return http_admit(http, principal, HTTP_READ, error) &&
           (http->listings < HTTP_LISTINGS ||
            error_set(error, ERROR_QUEUE_FULL, "%d lists are being made already; try again later",
                      HTTP_LISTINGS));
}

static void take(struct http *http, struct net_connection *connection, struct principal *principal,
                 struct http_listing *listing)
{
    struct error error;
    struct http_request *request = NULL;
    if (may_list(http, principal, &error)) {
        request = http_request_new(http, connection, 0, principal);
        if (!request)
            error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
    }
    if (request) {
        start(request, listing);
        return;
    }
    listing_free(listing);
    http_respond_error(connection, &error, NULL);
}

static bool has_path(const struct http_list *list, struct span path)
{
    size_t length = strlen(list->path);
    return span_starts_with(path, list->path) &&
           (path.length == length || (list->has_items && path.data[length] == '/'));
}

static bool takes_method(const struct http_list *list, enum http_method method, bool one,
                         struct net_connection *connection)
{
    struct error error;
    bool may_end = one && list->can_end;
    if (method == HTTP_GET || method == HTTP_HEAD || (method == HTTP_DELETE && may_end))
        return true;
    error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET%s", one ? list->item : list->path,
              may_end ? " and DELETE" : "");
    http_respond_error(connection, &error,
                       may_end ? "Allow: GET, HEAD, DELETE\r\n" : "Allow: GET, HEAD\r\n");
    return false;
}

bool http_listing_request(struct http *http, struct net_connection *connection, struct span path,
                          bool health, const struct http_list *list)
{
    enum http_method method = net_state(connection).request->method;
    bool watches = health && method != HTTP_DELETE;
    enum permission permission = watches ? PERMISSION_WATCH : PERMISSION_ADMIN;
    struct principal principal;
    struct error error;
    if (!has_path(list, path))
        return false;
    if (!takes_method(list, method, path.length > strlen(list->path), connection))
        return true;
    /* The lists have addresses of clients, and values that they filter by. */
    if ((watches &&
         !access_guard_reads(http->frontend->access, connection, http->health_address, &error)) ||
        !access_enter(http->frontend->access, connection, permission, &principal, &error)) {
        http_respond_error(connection, &error, NULL);
        return true;
    }
    struct http_listing *listing = listing_new(list, connection, path, &error);
    if (listing)
        take(http, connection, &principal, listing);
    else
        http_respond_error(connection, &error, NULL);
    principal_fini(&principal); /* unless it was moved */
    return true;
}
