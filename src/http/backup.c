#include "http/backup.h"

#include "auth/auth.h"
#include "http/request.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 128 * 1024,
    DIGEST_BYTES = 32,
    LOOK_MS = 200,           /* whether the client is still there */
    WAL_BYTES = 1 << 30,     /* that the write-ahead log may grow by, while the copy is made */
    SPARE_BYTES = 32 << 20,  /* that must stay free on the disk */
    PATIENCE_MS = 60 * 1000, /* within which nothing has to be read; then at least so much: */
    BYTES_PER_SECOND = 64 * 1024
};

static const char backup_path[] = "/v1/backup";

struct http_backup {
    struct engine_event made;
    struct read_job job; /* a piece is read */
    struct http_request *request;
    pthread_t thread;
    uv_timer_t timer; /* while it is being made */
    const char *source;
    char *path;          /* of the copy, as long as it has a name */
    atomic_bool give_up; /* nobody wants it any more */
    /* the thread's, until `made` is delivered */
    struct database_backup_result result;
    unsigned char digest[DIGEST_BYTES];
    int descriptor; /* of the copy; -1: there is none */
    struct error error;
    /* while it is sent */
    struct buffer piece;
    bool begun, failed;
    uint64_t at, begun_ms;
};

/* Beside the database, where there is room for one if anywhere. */
static char *path_of(const struct http *http)
{
    const char *database = database_state(engine_facts(http->frontend->engine)->database).path;
    struct buffer path;
    size_t length;
    buffer_init(&path, 16 * 1024);
    buffer_printf(&path, "%s-served-copy", database);
    char *text = buffer_string(&path) ? buffer_take(&path, &length) : NULL;
    buffer_fini(&path);
    return text;
}

/* Its name until it is whole (database_backup). */
static char *partial_of(const char *path)
{
    struct buffer partial;
    buffer_init(&partial, 16 * 1024);
    buffer_printf(&partial, "%s.partial", path ? path : "");
    char *text = path && buffer_string(&partial) ? buffer_take(&partial, NULL) : NULL;
    buffer_fini(&partial);
    return text;
}

void http_backup_clean(const struct http *http)
{
    char *path = path_of(http), *partial = partial_of(path);
    if (path)
        (void)unlink(path); /* mostly there is none */
    if (partial)
        (void)unlink(partial);
    memory_free(path);
    memory_free(partial);
}

/* ---- making it, on its thread ---- */

static bool goes_on(void *argument, int64_t done, int64_t total)
{
    struct http_backup *backup = argument;
    (void)done;
    (void)total;
    return !atomic_load(&backup->give_up);
}

/* A disk that the copy fills up would stop the server. */
static bool has_room(const struct http_backup *backup, struct error *error)
{
    struct database_sizes sizes;
    database_read_sizes(engine_facts(backup->request->http->frontend->engine)->database, &sizes);
    int64_t needed = sizes.database_bytes + sizes.wal_bytes + SPARE_BYTES;
    return sizes.free_bytes < 0 || sizes.free_bytes > needed ||
           error_set(error, ERROR_DISK_FULL,
                     "no room for a copy beside the database: it takes up to %lld bytes, and %lld "
                     "are free; make room, or copy to another disk (stele backup --db)",
                     (long long)needed, (long long)sizes.free_bytes);
}

static bool make(struct http_backup *backup)
{
    struct error *error = &backup->error;
    struct database_backup_options options = {.from = backup->source,
                                              .to = backup->path,
                                              .replace = true,
                                              .wal_limit = WAL_BYTES,
                                              .progress = goes_on,
                                              .argument = backup};
    if (!has_room(backup, error) || !database_backup(&options, &backup->result, error))
        return false;
    backup->descriptor = open(backup->path, O_RDONLY | O_CLOEXEC);
    (void)unlink(backup->path);
    return (backup->descriptor >= 0 &&
            auth_digest_file(backup->descriptor, &backup->give_up, backup->digest)) ||
           error_set(error, ERROR_DISK_FAILED, "cannot read the copy: %s", error_reason(errno));
}

static void *make_it(void *argument)
{
    struct http_backup *backup = argument;
    make(backup);
    engine_post(backup->request->http->frontend->engine, &backup->made);
    return NULL;
}

/* ---- sending it ---- */

static void run(struct read_job *job, struct store_reader *reader)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, job, job);
    uint64_t left = (uint64_t)backup->result.bytes - backup->at;
    size_t wanted = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    char *room = buffer_reserve(&backup->piece, wanted);
    (void)reader;
    while (room && backup->piece.length < wanted) {
        ssize_t got =
            pread(backup->descriptor, room + backup->piece.length, wanted - backup->piece.length,
                  (off_t)(backup->at + backup->piece.length));
        if (got > 0)
            backup->piece.length += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    backup->failed = !room || backup->piece.length < wanted;
}

static void respond(struct http_backup *backup)
{
    char headers[512], hex[2 * DIGEST_BYTES + 1];
    const struct engine_facts *facts = engine_facts(backup->request->http->frontend->engine);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", backup->digest[i]);
    snprintf(headers, sizeof headers,
             "Cache-Control: no-store\r\nContent-Disposition: attachment; filename=\"stele.db\"\r\n"
             "Stele-Cursor: %s:%lld\r\nStele-SHA-256: %s\r\n",
             facts->epoch, (long long)backup->result.last_change, hex);
    struct http_content content = {.status = 200,
                                   .type = "application/vnd.sqlite3",
                                   .headers = headers,
                                   .whole = (uint64_t)backup->result.bytes};
    backup->begun = true;
    backup->begun_ms = frontend_now(backup->request->http->frontend);
    http_request_respond_large(backup->request, &content, &backup->piece);
}

/* What was said of its length cannot be taken back: the client sees the end come early. */
static void break_off(struct http_backup *backup, const char *reason)
{
    struct http_request *request = backup->request;
    log_warning("server", "backup-broken-off", log_word("client", request->principal.address),
                log_number("sent", (int64_t)backup->at), log_number("bytes", backup->result.bytes),
                log_text("reason", reason));
    net_close(request->connection);
}

static void on_piece(struct engine_event *event)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, job.event, event);
    struct http_request *request = backup->request;
    http_request_end_read(request);
    if (!backup->begun && backup->failed) {
        error_set(&backup->error, ERROR_DISK_FAILED, "the copy cannot be read");
        http_request_respond_error(request, &backup->error);
    } else if (backup->failed && request->connection) {
        request->awaited = false; /* the connection's end frees it */
        break_off(backup, "the copy cannot be read");
    } else {
        backup->at += backup->piece.length;
        backup->begun ? http_request_continue(request, &backup->piece) : respond(backup);
    }
}

static bool read_piece(struct http_backup *backup)
{
    struct http_request *request = backup->request;
    buffer_init(&backup->piece, PIECE_BYTES);
    backup->job = (struct read_job){
        .event.deliver = on_piece, .run = run, .owner = request->owner, .is_long = true};
    if (!backup->begun && !http_request_begin_read(request))
        return false;
    if (engine_read(request->http->frontend->engine, &backup->job))
        return true;
    http_request_end_read(request);
    return false;
}

static bool is_too_slow(const struct http_backup *backup)
{
    uint64_t ms = frontend_now(backup->request->http->frontend) - backup->begun_ms;
    return ms > PATIENCE_MS && backup->at < (ms - PATIENCE_MS) * (BYTES_PER_SECOND / 1000);
}

static void go_on(struct http_request *request)
{
    struct http_backup *backup = request->http->backup;
    if (is_too_slow(backup))
        break_off(backup, "the client reads too slowly, and the copy takes room on the disk");
    else if (read_piece(backup))
        http_request_await(request);
    else
        break_off(backup, "too many reads wait already");
}

/* ---- its life ---- */

static void on_closed(uv_handle_t *timer)
{
    struct http_backup *backup = timer->data;
    buffer_fini(&backup->piece);
    memory_free(backup->path);
    memory_free(backup);
}

static void free_backup(struct http_request *request)
{
    struct http_backup *backup = request->http->backup;
    request->http->backup = NULL;
    if (backup->descriptor >= 0)
        close(backup->descriptor);
    uv_close((uv_handle_t *)&backup->timer, on_closed);
}

static const struct http_source a_backup = {.go_on = go_on, .free = free_backup};

static void on_time(uv_timer_t *timer)
{
    struct http_backup *backup = timer->data;
    if (!http_request_is_wanted(backup->request))
        atomic_store(&backup->give_up, true);
}

void http_backup_stop(struct http *http)
{
    if (http->backup)
        atomic_store(&http->backup->give_up, true);
}

static void on_made(struct engine_event *event)
{
    struct http_backup *backup = LINK_OWNER(struct http_backup, made, event);
    struct http_request *request = backup->request;
    pthread_join(backup->thread, NULL);
    uv_timer_stop(&backup->timer);
    if (atomic_load(&backup->give_up))
        error_set(&backup->error, ERROR_SHUTTING_DOWN, "the server is stopping; ask again");
    if (backup->error.code == ERROR_NONE && !read_piece(backup))
        error_set(&backup->error, ERROR_QUEUE_FULL, "too many reads wait already; try again later");
    if (backup->error.code != ERROR_NONE)
        http_request_respond_error(request, &backup->error);
}

static bool start_thread(struct http_request *request, struct error *error)
{
    struct http *http = request->http;
    struct http_backup *backup = memory_new(sizeof *backup);
    if (!backup)
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    http->backup = backup;
    request->source = &a_backup;
    backup->request = request;
    backup->descriptor = -1;
    backup->made.deliver = on_made;
    backup->source = database_state(engine_facts(http->frontend->engine)->database).path;
    backup->path = path_of(http);
    buffer_init(&backup->piece, PIECE_BYTES);
    uv_timer_init(http->frontend->loop, &backup->timer);
    backup->timer.data = backup;
    if (!backup->path || pthread_create(&backup->thread, NULL, make_it, backup) != 0)
        return error_set(error, ERROR_MEMORY, "cannot start the copy: out of memory");
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
    if (!start_thread(request, &error))
        http_request_respond_error(request, &error);
}

bool http_backup_request(struct http *http, struct net_connection *connection, struct span path)
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
