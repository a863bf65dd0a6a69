#include "http/changes.h"

#include "http/log_reader.h"
#include "http/parts.h"
#include "http/request.h"
#include "http/wait.h"

enum { LIMIT = 5000, MOST = 100 * 1000 };

static const char changes_path[] = "/v1/changes";

/* A request for changes: read, and while there are none, waiting. */
struct http_changes {
    struct read_job job;
    struct http_request *request;
    struct link in_http; /* while it waits */
    uint64_t until_ms;   /* loop time */
    uv_timer_t timer;
    uint64_t wakes; /* of all who wait, when it was read */
    struct changes_answer answer;
};

/* ---- waiting ---- */

static void read_it(struct http_changes *changes);

static void on_closed(uv_handle_t *timer)
{
    struct http_changes *changes = timer->data;
    buffer_fini(&changes->answer.out);
    memory_free(changes);
}

static void end_wait(struct http_changes *changes)
{
    changes->request->watches = false;
    link_remove(&changes->in_http);
    uv_timer_stop(&changes->timer);
}

/* Its client has gone while it waited, or has its answer. */
static void free_changes(struct http_request *request)
{
    struct http_changes *changes = request->changes;
    if (request->watches)
        end_wait(changes);
    uv_close((uv_handle_t *)&changes->timer, on_closed);
}

/* The socket takes bytes, which nobody asked to know. */
static void pass(struct http_request *request)
{
    (void)request;
}

static const struct http_source a_log = {.go_on = pass, .free = free_changes};

/* Once more: what there is now is the answer. */
static void on_time(uv_timer_t *timer)
{
    struct http_changes *changes = timer->data;
    end_wait(changes);
    read_it(changes);
}

static bool may_wait(const struct http_changes *changes)
{
    const struct frontend *frontend = changes->request->http->frontend;
    return !changes->answer.count && changes->request->connection && frontend->running &&
           frontend_now(frontend) < changes->until_ms;
}

static void wait(struct http_changes *changes)
{
    struct http *http = changes->request->http;
    changes->request->watches = true;
    link_append(&http->replicas, &changes->in_http);
    uv_timer_start(&changes->timer, on_time, changes->until_ms - frontend_now(http->frontend), 0);
}

void http_changes_wake(struct http *http)
{
    http->wakes++;
    while (!link_alone(&http->replicas)) {
        struct http_changes *changes =
            LINK_OWNER(struct http_changes, in_http, http->replicas.next);
        end_wait(changes);
        read_it(changes);
    }
}

void http_committed(struct http *http, int64_t last_change)
{
    bool is_news = http->frontend && last_change != http->last_change; /* it is open */
    http->last_change = last_change;
    if (is_news)
        http_changes_wake(http);
}

static void stop(struct http *http)
{
    while (!link_alone(&http->replicas)) {
        struct http_changes *changes =
            LINK_OWNER(struct http_changes, in_http, http->replicas.next);
        struct error error;
        error_set(&error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
        end_wait(changes);
        http_request_respond_error(changes->request, &error);
    }
}

/* ---- reading ---- */

/* Its token may have run out, or been revoked, while it waited; and what may be seen is decided by
 * rules that change. */
static bool may_read(struct http_changes *changes, struct error *error)
{
    return http_log_reader(changes->request->http, &changes->request->principal,
                           &changes->answer.all, error);
}

static void run(struct read_job *job, struct store_reader *reader)
{
    changes_read(&((struct http_changes *)job)->answer, reader);
}

static void respond(struct http_changes *changes)
{
    struct http_content content = {.status = 200,
                                   .type = "application/x-ndjson; charset=utf-8",
                                   .headers = "Cache-Control: no-store\r\n"};
    struct changes_answer *answer = &changes->answer;
    struct http *http = changes->request->http;
    if (answer->error.code != ERROR_NONE) {
        http_request_respond_error(changes->request, &answer->error);
        return;
    }
    followers_note(&http->followers, &changes->request->principal, answer->last, answer->all,
                   frontend_now(http->frontend));
    http_request_respond_large(changes->request, &content, &answer->out);
}

static void deliver(struct engine_event *event)
{
    struct http_changes *changes = (struct http_changes *)event;
    struct changes_answer *answer = &changes->answer;
    bool all = answer->all;
    http_request_end_read(changes->request);
    /* The rules may have changed while it was read. */
    if (answer->error.code == ERROR_NONE)
        (void)may_read(changes, &answer->error);
    if (answer->error.code == ERROR_NONE && all && !answer->all)
        error_set(&answer->error, ERROR_SCOPE_MISSING,
                  "the token has lost the scope 'admin'; ask again");
    if (answer->error.code != ERROR_NONE || !may_wait(changes))
        respond(changes);
    else if (changes->request->http->wakes != changes->wakes)
        read_it(changes); /* something happened while this was on its way back */
    else
        wait(changes);
}

static bool begin_read(struct http_changes *changes, struct error *error)
{
    struct http_request *request = changes->request;
    changes->job = (struct read_job){
        .event.deliver = deliver, .run = run, .owner = request->owner, .is_long = true};
    if (!http_request_begin_read(request))
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    if (engine_read(request->http->frontend->engine, &changes->job))
        return true;
    http_request_end_read(request);
    return error_set(error, ERROR_QUEUE_FULL, "too many reads wait already; try again later");
}

static void read_it(struct http_changes *changes)
{
    struct error error;
    changes->wakes = changes->request->http->wakes;
    if (!may_read(changes, &error) || !begin_read(changes, &error))
        http_request_respond_error(changes->request, &error);
}

/* ---- what is asked ---- */

struct wish {
    int64_t after, limit, wait;
    bool at_head; /* behind all that there is */
    bool notes;   /* and behind which one, if this run of the server told that */
    int64_t notes_behind;
    char epoch[DATABASE_UUID_SIZE]; /* of the cursor; "": there is none */
};

static bool read_number(struct span value, const char *name, int64_t least, int64_t most,
                        int64_t *number, struct error *error)
{
    return (typed_number(value, number) && *number >= least && *number <= most) ||
           error_set(error, ERROR_INVALID_PARAMETER, "'%s' must be a number from %lld to %lld",
                     name, (long long)least, (long long)most);
}

/* EPOCH:CHANGE */
static bool read_cursor(struct span value, struct wish *wish, struct error *error)
{
    wish->at_head = span_equal(value, span_of("head"));
    if (wish->at_head)
        return true;
    const char *colon = value.length ? memchr(value.data, ':', value.length) : NULL;
    size_t length = colon ? (size_t)(colon - value.data) : 0;
    if (length != sizeof wish->epoch - 1 ||
        !typed_number(span_make(colon + 1, value.length - length - 1), &wish->after) ||
        wish->after < 0)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "'after' is no cursor of the log; use the one that an answer ends with");
    snprintf(wish->epoch, sizeof wish->epoch, "%.*s", (int)length, value.data);
    return true;
}

static bool check_epoch(const struct http *http, const struct wish *wish, struct error *error)
{
    const char *epoch = engine_facts(http->frontend->engine)->epoch;
    return !*wish->epoch || strcmp(wish->epoch, epoch) == 0 ||
           error_set(error, ERROR_LOG_REPLACED,
                     "the cursor is of the epoch %s, and this database has the epoch %s: it is "
                     "another one, or was restored from a copy. Begin again with a backup (GET "
                     "/v1/backup)",
                     wish->epoch, epoch);
}

/* RUN:NOTE, or nothing. What another run of a server has told is as nothing. */
static void read_notes(const struct http *http, struct span value, struct wish *wish)
{
    size_t length = sizeof http->run - 1;
    wish->notes = true;
    wish->notes_behind = -1;
    if (value.length > length && memcmp(value.data, http->run, length) == 0)
        (void)typed_number(span_make(value.data + length + 1, value.length - length - 1),
                           &wish->notes_behind);
}

static bool read_argument(const struct http *http, struct span argument, struct wish *wish,
                          struct error *error)
{
    struct span token;
    const char *equal = argument.length ? memchr(argument.data, '=', argument.length) : NULL;
    if (!argument.length || access_is_token(argument, &token))
        return true;
    size_t length = equal ? (size_t)(equal - argument.data) : argument.length;
    struct span name = span_make(argument.data, length);
    struct span value = equal ? span_make(equal + 1, argument.length - length - 1) : span_of("");
    if (span_equal(name, span_of("after")))
        return read_cursor(value, wish, error);
    if (span_equal(name, span_of("limit")))
        return read_number(value, "limit", 1, MOST, &wish->limit, error);
    if (span_equal(name, span_of("wait")))
        return read_number(value, "wait", 0, HTTP_WAIT_SECONDS, &wish->wait, error);
    if (span_equal(name, span_of("notes"))) {
        read_notes(http, value, wish);
        return true;
    }
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "there is no parameter '%.*s'; use after, limit, wait or notes",
                     length > 64 ? 64 : (int)length, argument.data);
}

static bool read_query(const struct http *http, const struct net_connection *connection,
                       struct wish *wish, struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_state(connection).request->query, argument;
    size_t at = 0;
    *wish = (struct wish){.limit = LIMIT};
    while ((argument = http_next_argument(query, &at, room)).data)
        if (!doc_valid_utf8(argument))
            return error_set(error, ERROR_INVALID_PARAMETER, "the query is not valid UTF-8");
        else if (!read_argument(http, argument, wish, error))
            return false;
    return true;
}

/* ---- requests ---- */

static bool attach(struct http_request *request, const struct wish *wish)
{
    struct frontend *frontend = request->http->frontend;
    struct http_changes *changes = memory_new(sizeof *changes);
    const struct engine_facts *facts = engine_facts(frontend->engine);
    struct database_state database = database_state(facts->database);
    bool from_start = !*wish->epoch && !wish->at_head;
    if (!changes)
        return false;
    changes->request = request;
    link_init(&changes->in_http);
    uv_timer_init(frontend->loop, &changes->timer);
    changes->timer.data = changes;
    changes->until_ms = frontend_now(frontend) + (uint64_t)wish->wait * 1000;
    changes->answer = (struct changes_answer){.after = wish->after,
                                              .at_head = wish->at_head,
                                              .limit = wish->limit,
                                              .epoch = facts->epoch,
                                              .merging = request->http->merging,
                                              .since = database.merging_since,
                                              .former = from_start ? facts->database : NULL,
                                              .replica = frontend->replica,
                                              .engine = frontend->engine,
                                              .is_node = http_follows(request->http),
                                              .wants_notes = wish->notes,
                                              .notes_of = request->http->run,
                                              .notes_behind = wish->notes_behind};
    buffer_init(&changes->answer.out, UINT32_MAX);
    request->changes = changes;
    request->source = &a_log;
    return true;
}

static struct http_request *take(struct http *http, struct net_connection *connection,
                                 struct principal *principal, const struct wish *wish,
                                 struct error *error)
{
    struct http_request *request = NULL;
    if (check_epoch(http, wish, error) && http_admit(http, principal, HTTP_READ, error)) {
        request = http_request_new(http, connection, 0, principal);
        if (!request)
            error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    }
    principal_fini(principal); /* unless it was moved */
    if (!request)
        return NULL;
    http_request_await(request);
    if (wish->wait)
        net_expect_client(connection);
    return request;
}

static void start(struct http *http, struct net_connection *connection, const struct wish *wish)
{
    struct access *access = http->frontend->access;
    struct principal principal;
    struct error error;
    struct http_request *request = NULL;
    /* A replica asks again with each transaction, so the rates of connections are not for it. */
    if (access_enter(access, connection, PERMISSION_CHANGES, &principal, &error))
        request = take(http, connection, &principal, wish, &error);
    if (!request) {
        http_respond_error(connection, &error, NULL);
        return;
    }
    if (!attach(request, wish)) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        http_request_respond_error(request, &error);
    } else {
        read_it(request->changes);
    }
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    enum http_method method = net_state(connection).request->method;
    struct wish wish;
    struct error error;
    if (!span_equal(path, span_of(changes_path)))
        return false;
    if (method != HTTP_GET && method != HTTP_HEAD) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET", changes_path);
        http_respond_error(connection, &error, "Allow: GET, HEAD\r\n");
    } else if (!read_query(http, connection, &wish, &error)) {
        http_respond_error(connection, &error, NULL);
    } else {
        start(http, connection, &wish);
    }
    return true;
}

const struct http_part http_changes_part = {.request = answer_request, .stop = stop};
