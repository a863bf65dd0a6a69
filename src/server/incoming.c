#include "server/incoming.h"

#include "base/link.h"

void intake_init(struct intake *intake, struct incoming *all, size_t limit,
                 void (*late)(struct intake *intake))
{
    *intake = (struct intake){.all = all, .late = late};
    buffer_init(&intake->bytes, limit);
}

void intake_end(struct intake *intake)
{
    heap_remove(&intake->all->unfinished, &intake->entry);
    intake->due_ms = 0;
    intake->all->bytes -= intake->counted;
    intake->counted = 0;
    buffer_fini(&intake->bytes);
}

void intake_move(struct intake *to, struct intake *from)
{
    size_t limit = to->bytes.limit;
    to->bytes = from->bytes;
    to->bytes.limit = limit;
    to->counted = from->counted;
    from->counted = 0;
    buffer_init(&from->bytes, from->bytes.limit);
    intake_end(from);
}

/* ---- time ---- */

void intake_wait(struct intake *intake, int64_t now_ms, int64_t ms)
{
    heap_remove(&intake->all->unfinished, &intake->entry);
    intake->due_ms = now_ms + ms;
    heap_add(&intake->all->unfinished, &intake->entry, intake->due_ms);
}

/* Every byte buys its share of a second, and nobody saves more than the patience there is. The heap
 * is left as it is: when the old time comes, the new one is seen. */
static void note_progress(struct intake *intake, size_t bytes, int64_t now_ms)
{
    int64_t most = now_ms + intake->all->patience_ms;
    if (!intake->due_ms)
        return;
    intake->due_ms += (int64_t)bytes * 1000 / INCOMING_BYTES_PER_SECOND;
    if (intake->due_ms > most)
        intake->due_ms = most;
}

void incoming_tick(struct incoming *all, int64_t now_ms)
{
    struct heap_entry *first;
    while ((first = heap_first(&all->unfinished)) && first->order <= now_ms) {
        struct intake *intake = LINK_OWNER(struct intake, entry, first);
        heap_remove(&all->unfinished, first);
        if (intake->due_ms > now_ms)
            heap_add(&all->unfinished, first, intake->due_ms);
        else
            intake->late(intake);
    }
}

/* ---- room ---- */

static void count(struct intake *intake)
{
    intake->all->bytes += intake->bytes.capacity - intake->counted;
    intake->counted = intake->bytes.capacity;
}

bool intake_add(struct intake *intake, struct span bytes, int64_t now_ms, struct error *error)
{
    const struct incoming *all = intake->all;
    struct buffer *buffer = &intake->bytes;
    if (bytes.length > buffer->limit - buffer->length)
        return error_set(error, ERROR_TOO_LARGE, "a message may have at most %zu bytes",
                         buffer->limit);
    if (!buffer_reserve(buffer, bytes.length))
        return error_set(error, ERROR_MEMORY, "out of memory while reading a message");
    count(intake);
    if (all->bytes > all->limit && all->bytes > intake->counted)
        return error_set(error, ERROR_QUEUE_FULL,
                         "%zu bytes of unfinished requests are held already; try again later",
                         all->bytes - intake->counted);
    note_progress(intake, bytes.length, now_ms);
    return buffer_add_span(buffer, bytes);
}
