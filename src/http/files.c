#include "http/files.h"

#include "http/content_type.h"
#include "http/health.h"
#include "http/http_internal.h"
#include "http/parts.h"
#include "http/respond.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 64 * 1024,
    KNOWN_BYTES = 1024, /* of If-None-Match; a longer one names no file of ours */
    TAG_BYTES = 80,
    ATTEMPTS = 16 /* at a path that somebody renames meanwhile */
};

struct http_files {
    int start; /* where a relative path begins; owned unless AT_FDCWD */
    char *path;
};

/* What a reader found. */
enum file_outcome { FILE_FOUND, FILE_UNCHANGED, FILE_FOLDER, FILE_MISSING, FILE_FAILED };

/* A file that a request asks for, and the job that reads a piece of it. */
struct http_file {
    struct read_job job;
    struct http_request *request;
    const struct http_files *files;
    char *path;  /* below the folder */
    char *known; /* If-None-Match; NULL: none */
    bool begun;  /* its first piece was given */
    uint64_t at; /* of the next piece */
    /* the reader's, until the job is back */
    enum file_outcome outcome;
    int cause; /* errno of FILE_MISSING and FILE_FAILED */
    uint64_t size;
    char tag[TAG_BYTES]; /* with its quotes; "" before the first piece */
    struct buffer piece;
};

/* ---- the folder ---- */

/* A folder; -1 with errno. */
static int open_folder(const struct http_files *files)
{
    return openat(files->start, files->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The flags keep the process from waiting for a pipe, and from a terminal. -1 with errno. */
static int open_below(int folder, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long file = -1;
    for (int i = 0; i < ATTEMPTS; i++) {
        file = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (file >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)file;
}

static bool try_folder(const struct http_files *files, struct error *error)
{
    int folder = open_folder(files);
    int inner = folder < 0 ? -1 : open_below(folder, ".");
    int cause = errno;
    if (folder >= 0)
        close(folder);
    if (inner >= 0) {
        close(inner);
        return true;
    }
    if (folder < 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "folder %s: %s; name a folder that exists, or leave the setting out",
                         files->path, error_reason(cause));
    return error_set(error, ERROR_CONFIGURATION,
                     "folder %s: %s; it must be readable, by openat2 (Linux 5.6 or newer)",
                     files->path, error_reason(cause));
}

void http_files_free(struct http_files *files)
{
    if (!files)
        return;
    if (files->start >= 0)
        close(files->start);
    memory_free(files->path);
    memory_free(files);
}

static struct http_files *files_new(int start, const char *path, struct error *error)
{
    struct http_files *files = memory_new(sizeof *files);
    if (files) {
        files->start = start == AT_FDCWD ? start : fcntl(start, F_DUPFD_CLOEXEC, 0);
        files->path = memory_copy_string(path, strlen(path));
    }
    if (!files || !files->path)
        error_set(error, ERROR_MEMORY, "out of memory while starting");
    else if (files->start < 0 && files->start != AT_FDCWD)
        error_set(error, ERROR_CONFIGURATION, "folder %s: %s", path, error_reason(errno));
    else if (try_folder(files, error))
        return files;
    http_files_free(files);
    return NULL;
}

bool http_serve_files(struct http *http, int start, const char *path, struct error *error)
{
    http->files = files_new(start, path, error);
    return http->files != NULL;
}

/* ---- on a reading thread ---- */

static void fail(struct http_file *file, int cause)
{
    bool missing = cause == ENOENT || cause == ENOTDIR || cause == ELOOP || cause == EXDEV ||
                   cause == ENAMETOOLONG || cause == ENXIO;
    file->outcome = missing ? FILE_MISSING : FILE_FAILED;
    file->cause = cause;
}

/* A file is known by its length and times: that of the change too, because whoever unpacks an
 * image or an archive sets the other. */
static void print_tag(const struct stat *status, char tag[TAG_BYTES])
{
    const struct timespec *modified = &status->st_mtim, *changed = &status->st_ctim;
    snprintf(tag, TAG_BYTES, "\"%llx-%llx.%lx-%llx.%lx\"", (unsigned long long)status->st_size,
             (unsigned long long)modified->tv_sec, (unsigned long)modified->tv_nsec,
             (unsigned long long)changed->tv_sec, (unsigned long)changed->tv_nsec);
}

/* `known` is a list as If-None-Match has it. No tag can be a part of another with its quotes. */
static bool has_already(const struct http_file *file)
{
    return file->known && (strcmp(file->known, "*") == 0 || strstr(file->known, file->tag));
}

/* Whether its bytes are wanted. */
static bool judge(struct http_file *file, const struct stat *status)
{
    char tag[TAG_BYTES];
    if (S_ISDIR(status->st_mode))
        file->outcome = FILE_FOLDER;
    else if (!S_ISREG(status->st_mode))
        fail(file, ENOENT);
    if (file->outcome != FILE_FOUND)
        return false;
    print_tag(status, tag);
    if (*file->tag && strcmp(tag, file->tag) != 0)
        fail(file, ESTALE);
    memcpy(file->tag, tag, sizeof tag);
    file->size = (uint64_t)status->st_size;
    if (file->outcome == FILE_FOUND && !file->begun && has_already(file))
        file->outcome = FILE_UNCHANGED;
    return file->outcome == FILE_FOUND;
}

static void read_piece(struct http_file *file, int descriptor)
{
    uint64_t left = file->size - file->at;
    size_t wanted = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    char *room = wanted ? buffer_reserve(&file->piece, wanted) : NULL;
    if (wanted && !room)
        fail(file, ENOMEM);
    while (room && file->piece.length < wanted) {
        ssize_t got = pread(descriptor, room + file->piece.length, wanted - file->piece.length,
                            (off_t)(file->at + file->piece.length));
        if (got > 0)
            file->piece.length += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    if (room && file->piece.length < wanted)
        fail(file, ESTALE); /* it became shorter */
}

static void run(struct read_job *job, struct store_reader *reader)
{
    struct http_file *file = (struct http_file *)job;
    struct stat status;
    int folder = open_folder(file->files);
    int descriptor = folder < 0 ? -1 : open_below(folder, file->path);
    (void)reader;
    file->outcome = FILE_FOUND;
    if (folder < 0) /* the server's fault, not that of the path */
        fail(file, errno == ENOENT ? ENOTRECOVERABLE : errno);
    else if (descriptor < 0 || fstat(descriptor, &status) != 0)
        fail(file, errno);
    else if (judge(file, &status) && !file->request->head)
        read_piece(file, descriptor);
    if (descriptor >= 0)
        close(descriptor);
    if (folder >= 0)
        close(folder);
}

/* ---- the answer, on the loop ---- */

static void respond_with_file(struct http_request *request, struct http_file *file)
{
    char headers[TAG_BYTES + 64];
    bool unchanged = file->outcome == FILE_UNCHANGED;
    /* A browser asks again each time, and is told by the tag that it has the file. */
    snprintf(headers, sizeof headers, "ETag: %s\r\nCache-Control: no-cache\r\n", file->tag);
    struct http_content content = {.status = unchanged ? 304 : 200,
                                   .type = unchanged ? NULL : http_content_type(file->path),
                                   .headers = headers,
                                   .whole = unchanged ? 0 : file->size};
    file->at = file->piece.length;
    file->begun = true;
    http_request_respond_large(request, &content, &file->piece);
}

/* The links of a folder's page are relative to the folder, so its path must end with a slash. */
static void respond_with_slash(struct http_request *request, const struct http_file *file)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~.";
    const char *slash = strrchr(file->path, '/'), *name = slash ? slash + 1 : file->path;
    struct buffer headers;
    struct error error;
    buffer_init(&headers, 3 * HTTP_TARGET_LIMIT + 128);
    buffer_add_string(&headers, "Cache-Control: no-cache\r\nLocation: ./");
    for (; *name; name++) {
        if (strchr(plain, *name))
            buffer_add_char(&headers, *name);
        else
            buffer_printf(&headers, "%%%02X", (unsigned char)*name);
    }
    buffer_add_string(&headers, "/\r\n");
    struct http_content content = {.status = 301,
                                   .type = "text/plain; charset=utf-8",
                                   .headers = buffer_string(&headers),
                                   .body = span_of("this is a folder; its path ends with '/'\n")};
    if (content.headers) {
        http_request_respond(request, &content);
    } else {
        error_set(&error, ERROR_MEMORY, "out of memory while answering");
        http_request_respond_error(request, &error);
    }
    buffer_fini(&headers);
}

static void not_found(const char *path, struct error *error)
{
    error_set(error, ERROR_NOT_FOUND,
              "there is no file '%.200s' in the folder of static_files; the API is below /v1/",
              path);
}

static void respond_with_error(struct http_request *request, const struct http_file *file)
{
    struct error error;
    if (file->outcome == FILE_FAILED)
        log_warning("server", "file-unreadable", log_text("file", file->path),
                    log_text("folder", file->files->path),
                    log_text("error", file->cause == ENOTRECOVERABLE ? "the folder is gone"
                                                                     : error_reason(file->cause)));
    if (file->outcome == FILE_MISSING)
        not_found(file->path, &error);
    else if (file->cause == ENOMEM)
        error_set(&error, ERROR_MEMORY, "out of memory while reading a file");
    else
        error_set(&error, ERROR_INTERNAL,
                  "the file '%.200s' cannot be read; the server's log says why", file->path);
    http_request_respond_error(request, &error);
}

/* What was said of its length cannot be taken back: the client sees the end come early. */
static void give_next_piece(struct http_request *request, struct http_file *file)
{
    if (file->outcome == FILE_FOUND) {
        file->at += file->piece.length;
    } else if (request->connection) {
        log_warning("server", "file-changed", log_text("file", file->path),
                    log_text("client", request->principal.address),
                    log_text("effect", "the answer that had begun was broken off"));
        net_close(request->connection);
        request->awaited = false; /* the connection's end frees it */
        return;
    }
    http_request_continue(request, &file->piece);
}

static void deliver(struct engine_event *event)
{
    struct http_file *file = (struct http_file *)event;
    struct http_request *request = file->request;
    http_request_end_read(request);
    if (file->begun)
        give_next_piece(request, file);
    else if (file->outcome == FILE_FOUND || file->outcome == FILE_UNCHANGED)
        respond_with_file(request, file);
    else if (file->outcome == FILE_FOLDER)
        respond_with_slash(request, file);
    else
        respond_with_error(request, file);
}

/* ---- requests ---- */

static bool read_on(struct http_request *request, struct error *error)
{
    return engine_read(request->http->frontend->engine, &request->file->job) ||
           error_set(error, ERROR_QUEUE_FULL, "too many reads wait already; try again later");
}

static bool start_read(struct http_request *request, struct error *error)
{
    request->file->job.owner = request->owner;
    if (!http_request_begin_read(request))
        return error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    if (read_on(request, error))
        return true;
    http_request_end_read(request);
    return false;
}

/* Have the next piece read. It is not among the reads that are counted for its owner: how many
 * answers go on is bounded by their memory, and who downloads must be able to open a page beside
 * it. */
static void go_on(struct http_request *request)
{
    struct error error;
    buffer_init(&request->file->piece, PIECE_BYTES);
    if (read_on(request, &error))
        http_request_await(request);
    else
        net_close(request->connection);
}

/* No reader works for it. */
static void free_file(struct http_request *request)
{
    struct http_file *file = request->file;
    buffer_fini(&file->piece);
    memory_free(file->path);
    memory_free(file->known);
    memory_free(file);
}

static const struct http_source a_file = {.go_on = go_on, .free = free_file};

/* Not what begins with a dot, on the way either; and an escaped '/' is none of a name's. */
static bool is_plain(const struct net_connection *connection, struct span path)
{
    const struct http_head *head = net_state(connection).request;
    if (head->path_plain != head->path.length)
        return false;
    for (size_t i = 0; i < path.length; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c < ' ' || c == 0x7f || (c == '.' && path.data[i - 1] == '/'))
            return false;
    }
    return true;
}

/* "index.html" stands for its folder. */
static char *copy_path(struct span path)
{
    static const char index[] = "index.html";
    bool is_folder = path.data[path.length - 1] == '/';
    struct buffer out;
    size_t length;
    buffer_init(&out, HTTP_TARGET_LIMIT + sizeof index);
    buffer_add(&out, path.data + 1, path.length - 1);
    buffer_add_string(&out, is_folder ? index : "");
    buffer_string(&out);
    char *copy = buffer_take(&out, &length);
    buffer_fini(&out);
    return copy;
}

static bool attach_file(struct http_request *request, struct span path)
{
    struct span known = net_header(request->connection, "if-none-match");
    struct http_file *file = memory_new(sizeof *file);
    if (!file)
        return false;
    request->file = file;
    request->source = &a_file;
    file->job.run = run;
    file->job.event.deliver = deliver;
    file->job.is_long = true; /* a slow disk must not stop brief reads */
    file->request = request;
    file->files = request->http->files;
    buffer_init(&file->piece, PIECE_BYTES);
    file->path = copy_path(path);
    if (known.length && known.length < KNOWN_BYTES)
        file->known = memory_copy_string(known.data, known.length);
    return file->path != NULL;
}

static bool may_be_file(const struct http *http, struct span path)
{
    bool is_api = span_equal(path, span_of("/v1")) || span_starts_with(path, "/v1/");
    return http->files && !is_api && !health_has(path) && *path.data == '/';
}

static bool check(struct net_connection *connection, struct span path, struct error *error)
{
    enum http_method method = net_state(connection).request->method;
    char shown[256];
    if (method != HTTP_GET && method != HTTP_HEAD)
        return error_set(error, ERROR_METHOD_NOT_ALLOWED, "files are read by GET or HEAD");
    if (is_plain(connection, path))
        return true;
    snprintf(shown, sizeof shown, "%.*s", (int)path.length - 1, path.data + 1);
    not_found(shown, error);
    return false;
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    struct principal principal;
    struct error error;
    if (!may_be_file(http, path))
        return false;
    if (!check(connection, path, &error)) {
        bool method = error.code == ERROR_METHOD_NOT_ALLOWED;
        http_respond_error(connection, &error, method ? "Allow: GET, HEAD\r\n" : NULL);
        return true;
    }
    access_enter_public(http->frontend->access, connection, &principal);
    if (!http_admit(http, &principal, HTTP_READ, &error)) {
        principal_fini(&principal);
        http_respond_error(connection, &error, NULL);
        return true;
    }
    struct http_request *request = http_request_new(http, connection, 0, &principal);
    bool good = request && (attach_file(request, path) ||
                            error_set(&error, ERROR_MEMORY, "out of memory for a request"));
    bool started = good && start_read(request, &error);
    if (!request) {
        error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
        http_respond_error(connection, &error, NULL);
        return true;
    }
    http_request_await(request);
    if (!started)
        http_request_respond_error(request, &error);
    return true;
}

const struct http_part http_files_part = {.request = answer_request};
