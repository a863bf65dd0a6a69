/* Submissions: memory that lives and dies with one request. */
#include "engine/engine_internal.h"

enum { CHUNK_SIZE = 4096 };

struct submission_chunk {
    struct submission_chunk *next;
    size_t used, capacity;
    _Alignas(max_align_t) char data[];
};

struct submission *submission_new(size_t max_text, uint32_t max_nodes)
{
    struct submission *submission = memory_new(sizeof *submission);
    if (submission)
        doc_init(&submission->doc, max_text, max_nodes);
    return submission;
}

void submission_free(struct submission *submission)
{
    if (!submission)
        return;
    while (submission->chunks) {
        struct submission_chunk *next = submission->chunks->next;
        memory_free(submission->chunks);
        submission->chunks = next;
    }
    memory_free(submission->mutations);
    memory_free(submission->batches);
    doc_fini(&submission->doc);
    memory_free(submission);
}

void submission_reset(struct submission *submission)
{
    submission->applied = submission->ignored = submission->duplicate = 0;
    submission->stale = submission->truncated = 0;
    submission->has_seq = submission->has_last = submission->message_taken = false;
    submission->unknown_count = 0;
    submission->command.done = false;
    submission->command.producer = NULL;
    submission->answer = span_make(NULL, 0);
}

/* Aligned memory from the newest chunk, or from a new one in front of it. */
static void *allocate(struct submission *submission, size_t size)
{
    size_t aligned = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    struct submission_chunk *chunk = submission->chunks;
    if (!chunk || chunk->capacity - chunk->used < aligned) {
        size_t capacity = aligned > CHUNK_SIZE ? aligned : CHUNK_SIZE;
        chunk = memory_alloc(sizeof *chunk + capacity);
        if (!chunk)
            return NULL;
        *chunk = (struct submission_chunk){.next = submission->chunks, .capacity = capacity};
        submission->chunks = chunk;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += aligned;
    return memory;
}

void *submission_zeroed(struct submission *submission, size_t size)
{
    void *memory = allocate(submission, size);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

struct span submission_keep(struct submission *submission, struct span bytes)
{
    char *copy = allocate(submission, bytes.length ? bytes.length : 1);
    if (!copy)
        return span_make(NULL, 0);
    if (bytes.length)
        memcpy(copy, bytes.data, bytes.length);
    return span_make(copy, bytes.length);
}

struct mutation *submission_add(struct submission *submission)
{
    if (!array_reserve((void **)&submission->mutations, submission->mutation_count,
                       &submission->mutation_capacity, sizeof *submission->mutations))
        return NULL;
    struct mutation *mutation = &submission->mutations[submission->mutation_count++];
    *mutation = (struct mutation){.operation = ROW_PATCH, .patch = DOC_NONE};
    return mutation;
}

struct submission_batch *submission_add_batch(struct submission *submission)
{
    if (!array_reserve((void **)&submission->batches, submission->batch_count,
                       &submission->batch_capacity, sizeof *submission->batches))
        return NULL;
    struct submission_batch *batch = &submission->batches[submission->batch_count++];
    *batch = (struct submission_batch){.first = submission->mutation_count};
    return batch;
}

size_t submission_memory(const struct submission *submission)
{
    size_t bytes = sizeof *submission + submission->doc.text.capacity +
                   submission->doc.capacity * sizeof *submission->doc.nodes +
                   submission->mutation_capacity * sizeof *submission->mutations +
                   submission->batch_capacity * sizeof *submission->batches;
    for (const struct submission_chunk *chunk = submission->chunks; chunk; chunk = chunk->next)
        bytes += sizeof *chunk + chunk->capacity;
    return bytes;
}
