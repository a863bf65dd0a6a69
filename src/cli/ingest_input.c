#include "cli/ingest_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    QUEUE_CHUNKS = 16,
    /* How soon the thread sees that it should end while a pipe says nothing. */
    POLL_MS = 100
};

struct chunk {
    struct queue_item item;
    size_t length;
    char data[CHUNK_BYTES];
};

struct ingest_input {
    int file;
    int64_t size;
    pthread_t thread;
    _Atomic bool ending;
    int reason; /* errno of a failed read; set before the queue is closed */
    struct queue queue;
    void (*wake)(void *argument);
    void *argument;
    /* the taking side */
    struct queue_item *chunks; /* taken out, not used yet */
    struct buffer text;        /* of the lines under way */
    size_t at, line;           /* in it: what comes next, and where the last line given starts */
};

/* ---- the reading thread ---- */

static bool wait_readable(struct ingest_input *input)
{
    struct pollfd poll_file = {.fd = input->file, .events = POLLIN};
    while (!atomic_load(&input->ending)) {
        int ready = poll(&poll_file, 1, POLL_MS);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR) {
            input->reason = errno;
            return false;
        }
    }
    return false;
}

static struct chunk *read_chunk(struct ingest_input *input)
{
    struct chunk *chunk = memory_alloc(sizeof(*chunk));
    if (!chunk) {
        input->reason = ENOMEM;
        return NULL;
    }
    ssize_t got = -1;
    do {
        if (!wait_readable(input))
            break;
        got = read(input->file, chunk->data, CHUNK_BYTES);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got > 0) {
        chunk->length = (size_t)got;
        chunk->item.bytes = CHUNK_BYTES;
        return chunk;
    }
    if (got < 0 && !atomic_load(&input->ending) && input->reason == 0)
        input->reason = errno;
    memory_free(chunk);
    return NULL;
}

static void *reading_thread(void *argument)
{
    struct ingest_input *input = argument;
    struct chunk *chunk;
    while ((chunk = read_chunk(input)))
        if (!queue_put(&input->queue, &chunk->item, QUEUE_WAITS)) {
            memory_free(chunk);
            break;
        }
    queue_close(&input->queue);
    input->wake(input->argument);
    return NULL;
}

/* ---- life ---- */

static bool open_file(struct ingest_input *input, const char *path, struct error *error)
{
    struct stat facts;
    bool standard = strcmp(path, "-") == 0;
    input->file = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (input->file < 0 || fstat(input->file, &facts) != 0)
        return error_set(error, ERROR_NOT_FOUND, "%s cannot be opened: %s%s", path,
                         error_reason(errno),
                         strstr(path, "://") ? "; is it the server? Then say --url" : "");
    input->size = S_ISREG(facts.st_mode) ? (int64_t)facts.st_size : -1;
    return true;
}

struct ingest_input *ingest_input_open(const char *path, void (*wake)(void *argument),
                                       void *argument, struct error *error)
{
    struct ingest_input *input = memory_new(sizeof(*input));
    if (!input || !queue_init(&input->queue, QUEUE_CHUNKS, QUEUE_CHUNKS * (size_t)CHUNK_BYTES)) {
        memory_free(input);
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    input->wake = wake;
    input->argument = argument;
    queue_on_fill(&input->queue, wake, argument);
    buffer_init(&input->text, INGEST_LINE_LIMIT);
    bool opened = open_file(input, path, error);
    int result = opened ? pthread_create(&input->thread, NULL, reading_thread, input) : 0;
    if (opened && result == 0)
        return input;
    if (opened)
        error_set(error, ERROR_INTERNAL, "no thread could be started: %s", error_reason(result));
    if (input->file > STDIN_FILENO)
        close(input->file);
    queue_fini(&input->queue);
    memory_free(input);
    return NULL;
}

static void free_chunks(struct queue_item *chunks)
{
    while (chunks) {
        struct queue_item *next = chunks->next;
        memory_free(chunks);
        chunks = next;
    }
}

void ingest_input_close(struct ingest_input *input)
{
    if (!input)
        return;
    atomic_store(&input->ending, true);
    queue_close(&input->queue);
    pthread_join(input->thread, NULL);
    free_chunks(queue_take_all(&input->queue, 0));
    free_chunks(input->chunks);
    queue_fini(&input->queue);
    buffer_fini(&input->text);
    if (input->file > STDIN_FILENO)
        close(input->file);
    memory_free(input);
}

int64_t ingest_input_size(const struct ingest_input *input)
{
    return input->size;
}

/* ---- lines ---- */

/* Append one more chunk to the text; INGEST_LINE when that was done. */
static enum ingest_next fill(struct ingest_input *input, struct error *error)
{
    /* Asked before the queue is emptied: what comes between the two would be lost otherwise. */
    bool closed = queue_is_closed(&input->queue);
    if (!input->chunks)
        input->chunks = queue_take_all(&input->queue, 0);
    if (!input->chunks) {
        if (closed && input->reason != 0)
            error_set(error, ERROR_INTERNAL, "the input cannot be read: %s",
                      error_reason(input->reason));
        return !closed ? INGEST_NOTHING_YET : input->reason != 0 ? INGEST_BROKEN : INGEST_END;
    }
    struct chunk *chunk = (struct chunk *)input->chunks;
    input->chunks = chunk->item.next;
    size_t left = input->text.length - input->at;
    if (input->at > 0)
        memmove(input->text.data, input->text.data + input->at, left);
    input->text.length = left;
    input->at = 0;
    bool fits = buffer_add(&input->text, chunk->data, chunk->length);
    memory_free(chunk);
    if (fits)
        return INGEST_LINE;
    error_set(error, ERROR_TOO_LARGE, "the line is longer than %d bytes", INGEST_LINE_LIMIT);
    return INGEST_BROKEN;
}

static struct span line_to(struct ingest_input *input, size_t end, size_t next)
{
    struct span line = span_make(input->text.data + input->at, end - input->at);
    input->line = input->at;
    input->at = next;
    return line;
}

enum ingest_next ingest_input_next(struct ingest_input *input, struct span *line,
                                   struct error *error)
{
    size_t searched = input->at;
    for (;;) {
        size_t length = input->text.length;
        const char *text = input->text.data;
        const char *end =
            length > searched ? memchr(text + searched, '\n', length - searched) : NULL;
        if (end) {
            *line = line_to(input, (size_t)(end - text), (size_t)(end - text) + 1);
            return INGEST_LINE;
        }
        size_t kept = length - input->at;
        enum ingest_next filled = fill(input, error);
        if (filled == INGEST_END && kept > 0) { /* the last line has no end */
            *line = line_to(input, length, length);
            return INGEST_LINE;
        }
        if (filled != INGEST_LINE)
            return filled;
        searched = kept; /* the text starts with what was kept, and that holds no line end */
    }
}

void ingest_input_put_back(struct ingest_input *input)
{
    input->at = input->line;
}
