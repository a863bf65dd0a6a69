/*
 * GET /v1/backup: a copy of the database of one state (docs/protocol.md, section 14). It is made
 * beside the database first, on a thread of its own, and has no name any more when it is sent; so a
 * client that reads slowly holds room on the disk, and neither the write-ahead log nor a reader.
 * One at a time.
 */
#include "http/parts.h"

#include "http/backup_copy.h"
#include "http/http_internal.h"
#include "http/request.h"

#include <errno.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 128 * 1024,
    LOOK_MS = 200,           /* whether all is as it must be */
    PATIENCE_MS = 60 * 1000, /* within which nothing has to be read; then at least so much: */
    BYTES_PER_SECOND = 64 * 1024
};

static const char backup_path[] = "/v1/backup";

struct http_backup {
    struct engine_event made;
    struct read_job job; /* a piece is read */
    struct http_request *request;
    struct backup_copy copy;
    uv_timer_t timer;
    /* while it is sent */
    struct buffer piece;
    bool begun, failed;
    bool waits; /* for room among the reads, to read a piece */
    uint64_t at, begun_ms;
    struct error error; /* why it is broken off */
};

/* ---- sending it ---- */

static void run(struct read_job *job, struct store_reader *reader)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, job, job);
    uint64_t left = (uint64_t)backup->copy.result.bytes - backup->at;
    size_t wanted = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    char *room = buffer_reserve(&backup->piece, wanted);
    (void)reader;
    while (room && backup->piece.length < wanted) {
        ssize_t got =
            pread(backup->copy.result.descriptor, room + backup->piece.length,
                  wanted - backup->piece.length, (off_t)(backup->at + backup->piece.length));
        if (got > 0)
            backup->piece.length += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    backup->failed = !room || backup->piece.length < wanted;
}

static void respond(struct http_backup *backup)
{
    char headers[512], hex[2 * BACKUP_DIGEST_BYTES + 1];
    const struct engine_facts *facts = engine_facts(backup->request->http->frontend->engine);
    for (size_t i = 0; i < BACKUP_DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", backup->copy.digest[i]);
    snprintf(headers, sizeof headers,
             "Cache-Control: no-store\r\nContent-Disposition: attachment; filename=\"stele.db\"\r\n"
             "Stele-Cursor: %s:%lld\r\nStele-SHA-256: %s\r\n",
             facts->epoch, (long long)backup->copy.result.last_change, hex);
    struct http_content content = {.status = 200,
                                   .type = "application/vnd.sqlite3",
                                   .headers = headers,
                                   .whole = (uint64_t)backup->copy.result.bytes};
    backup->begun = true;
    backup->begun_ms = frontend_now(backup->request->http->frontend);
    http_request_respond_large(backup->request, &content, &backup->piece);
}

/* What was said of its length cannot be taken back: the client sees the end come early. */
static void break_off(struct http_backup *backup, const struct error *error)
{
    backup->error = *error;
    net_close(backup->request->connection);
}

static void on_piece(struct engine_event *event)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, job.event, event);
    struct http_request *request = backup->request;
    struct error error;
    if (backup->failed)
        error_set(&error, ERROR_DISK_FAILED, "the copy cannot be read");
    if (!backup->begun && backup->failed) {
        http_request_respond_error(request, &error);
    } else if (backup->failed && request->connection) {
        request->awaited = false; /* the connection's end frees it */
        break_off(backup, &error);
    } else {
        backup->at += backup->piece.length;
        backup->begun ? http_request_continue(request, &backup->piece) : respond(backup);
    }
}

/* It touches no database, so it does not go with the long ones. */
static bool read_piece(struct http_backup *backup)
{
    struct http_request *request = backup->request;
    buffer_init(&backup->piece, PIECE_BYTES);
    backup->job = (struct read_job){.event.deliver = on_piece, .run = run, .owner = request->owner};
    return engine_read(request->http->frontend->engine, &backup->job);
}

/* ---- whether it goes on ---- */

static bool check_access(const struct http_backup *backup, struct error *error)
{
    return access_still_holds(backup->request->http->frontend->access, &backup->request->principal,
                              PERMISSION_LOG, error);
}

static bool check_speed(const struct http_backup *backup, struct error *error)
{
    uint64_t ms = frontend_now(backup->request->http->frontend) - backup->begun_ms;
    return ms <= PATIENCE_MS || backup->at >= (ms - PATIENCE_MS) * (BYTES_PER_SECOND / 1000) ||
           error_set(error, ERROR_TOO_SLOW,
                     "the client reads too slowly, and the copy takes room on the disk");
}

static void go_on(struct http_request *request)
{
    struct http_backup *backup = request->http->backup;
    struct error error;
    if (!check_access(backup, &error)) {
        break_off(backup, &error);
        return;
    }
    backup->waits = !read_piece(backup);
    if (!backup->waits)
        http_request_await(request);
}

static void look(struct http_backup *backup)
{
    struct error error;
    if (!check_access(backup, &error) || !check_speed(backup, &error) ||
        !backup_copy_has_disk(backup->copy.engine, &error))
        break_off(backup, &error);
    else if (backup->waits)
        go_on(backup->request);
}

static void on_time(uv_timer_t *timer)
{
    struct http_backup *backup = timer->data;
    if (!backup->begun && !http_request_is_wanted(backup->request))
        atomic_store(&backup->copy.give_up, true);
    else if (backup->begun && backup->request->connection && backup->error.code == ERROR_NONE)
        look(backup);
}

/* ---- its life ---- */

static uint64_t bytes_sent(const struct http_request *request)
{
    size_t left = request->reply.length + request->large.length - request->written;
    return request->http->backup->at -
           (left < request->large.length ? left : request->large.length);
}

static void tell_end(const struct http_request *request)
{
    const struct http_backup *backup = request->http->backup;
    const struct auth_identity *identity = request->principal.identity;
    int64_t bytes = backup->copy.result.bytes, sent = (int64_t)bytes_sent(request);
    struct log_field client = log_word("client", request->principal.address),
                     subject = log_text("subject", identity ? identity->subject : NULL);
    const char *reason = request->http->frontend->running
                             ? "the client went, or took nothing for a minute"
                             : "the server stopped";
    if (backup->error.code != ERROR_NONE)
        reason = backup->error.message;
    if (sent == bytes)
        log_info("server", "backup-sent", client, subject, log_number("bytes", bytes));
    else
        log_warning("server", "backup-broken-off", client, subject, log_number("sent", sent),
                    log_number("bytes", bytes), log_text("reason", reason));
}

static void on_closed(uv_handle_t *timer)
{
    struct http_backup *backup = timer->data;
    buffer_fini(&backup->piece);
    memory_free(backup);
}

static void free_backup(struct http_request *request)
{
    struct http_backup *backup = request->http->backup;
    if (backup->begun)
        tell_end(request);
    request->http->backup = NULL;
    backup_copy_fini(&backup->copy);
    uv_close((uv_handle_t *)&backup->timer, on_closed);
}

static const struct http_source a_backup = {.go_on = go_on, .free = free_backup};

static void stop(struct http *http)
{
    if (http->backup)
        atomic_store(&http->backup->copy.give_up, true);
}

/* Its request is answered by engine_close. */
void http_end(struct http *http)
{
    stop(http);
    if (http->backup)
        backup_copy_join(&http->backup->copy);
}

static void on_made(struct engine_event *event)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, made, event);
    struct error *error = &backup->copy.error;
    backup_copy_join(&backup->copy);
    if (atomic_load(&backup->copy.give_up))
        error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
    if (error->code == ERROR_NONE && check_access(backup, error) && !read_piece(backup))
        error_set(error, ERROR_QUEUE_FULL, "too many reads wait already; try again later");
    if (error->code != ERROR_NONE)
        http_request_respond_error(backup->request, error);
}

static bool begin(struct http_request *request, struct error *error)
{
    struct http *http = request->http;
    struct http_backup *backup = memory_new(sizeof *backup);
    if (!backup)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    http->backup = backup;
    request->source = &a_backup;
    backup->request = request;
    backup->made.deliver = on_made;
    buffer_init(&backup->piece, PIECE_BYTES);
    uv_timer_init(http->frontend->loop, &backup->timer);
    backup->timer.data = backup;
    if (!backup_copy_start(&backup->copy, http->frontend->engine, &backup->made, error))
        return false;
    uv_timer_start(&backup->timer, on_time, LOOK_MS, LOOK_MS);
    return true;
}

static void start(struct http *http, struct net_connection *connection, struct principal *principal)
{
    struct error error;
    struct http_request *request = NULL;
    if (http->backup) {
        error_set(&error, ERROR_QUEUE_FULL,
                  "a copy is being made, or sent, and there is one at a time; try again later");
        error.retry_after = 10;
    } else if (http_admit(http, principal, HTTP_READ, &error)) {
        request = http_request_new(http, connection, 0, principal);
        if (!request)
            error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
    }
    principal_fini(principal); /* unless it was moved */
    if (!request) {
        http_respond_error(connection, &error, NULL);
        return;
    }
    http_request_await(request);
    net_expect_client(connection);
    if (!begin(request, &error))
        http_request_respond_error(request, &error);
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    enum http_method method = net_state(connection).request->method;
    struct principal principal;
    struct error error;
    if (!span_equal(path, span_of(backup_path)))
        return false;
    if (method != HTTP_GET) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET", backup_path);
        http_respond_error(connection, &error, "Allow: GET\r\n");
    } else if (!access_enter(http->frontend->access, connection, PERMISSION_LOG, &principal,
                             &error)) {
        http_respond_error(connection, &error, NULL);
    } else {
        start(http, connection, &principal);
    }
    return true;
}

const struct http_part http_backup_part = {.request = answer_request, .stop = stop};
