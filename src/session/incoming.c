#include "session/incoming.h"

#include "base/invariant.h"
#include "base/link.h"

void intake_init(struct intake *intake, struct incoming *all, size_t limit, uint64_t owner,
                 struct intake_calls calls)
{
    *intake = (struct intake){.all = all, .calls = calls, .owner = owner};
    buffer_init(&intake->bytes, limit);
}

void intake_end(struct intake *intake)
{
    heap_remove(&intake->all->unfinished, &intake->entry);
    intake->due_ms = 0;
    intake->all->bytes -= intake->counted;
    intake->counted = 0;
    share_end(&intake->share, &intake->all->shares);
    buffer_fini(&intake->bytes);
}

void intake_move(struct intake *to, struct intake *from)
{
    size_t limit = to->bytes.limit;
    to->bytes = from->bytes;
    to->bytes.limit = limit;
    to->counted = from->counted;
    from->counted = 0;
    share_end(&from->share, &from->all->shares);
    /* Without memory for it, it is nobody's share, and is not broken off. */
    share_set(&to->share, &to->all->shares, to->owner, to->counted);
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
            intake->calls.late(intake);
    }
}

/* ---- room ---- */

enum { SMALL = 16 * 1024, RESERVE = 8 /* a part of so many is for small ones alone */ };

static bool count(struct intake *intake)
{
    intake->all->bytes += intake->bytes.capacity - intake->counted;
    intake->counted = intake->bytes.capacity;
    return share_set(&intake->share, &intake->all->shares, intake->owner, intake->counted);
}

static size_t room_for(const struct intake *intake)
{
    size_t limit = intake->all->limit;
    return intake->counted <= SMALL ? limit : limit - limit / RESERVE;
}

static void break_off(struct intake *intake)
{
    struct incoming *all = intake->all;
    size_t before = all->bytes;
    struct error error;
    error_set(&error, ERROR_QUEUE_FULL,
              "others need the memory (incoming_bytes) that unfinished requests take, and this one "
              "is the largest, with %zu bytes; send it again, in smaller parts or faster",
              intake->counted);
    all->broken_off++;
    intake->calls.crowded(intake, &error);
    INVARIANT(all->bytes < before);
}

/* One that is alone fits, however large it is. */
static bool make_room(struct intake *intake, struct error *error)
{
    const struct incoming *all = intake->all;
    while (all->bytes > room_for(intake) && all->bytes > intake->counted) {
        struct share *share = shares_victim(&all->shares, &intake->share);
        struct intake *victim = share ? LINK_OWNER(struct intake, share, share) : NULL;
        if (!victim || !victim->calls.crowded)
            return error_set(
                error, ERROR_QUEUE_FULL,
                "%zu bytes of unfinished requests are held already, and incoming_bytes "
                "allows no more; try again later, or in smaller parts",
                all->bytes - intake->counted);
        break_off(victim);
    }
    return true;
}

bool intake_add(struct intake *intake, struct span bytes, int64_t now_ms, struct error *error)
{
    struct buffer *buffer = &intake->bytes;
    if (bytes.length > buffer->limit - buffer->length)
        return error_set(error, ERROR_TOO_LARGE, "a message may have at most %zu bytes",
                         buffer->limit);
    if (!buffer_reserve(buffer, bytes.length) || !count(intake))
        return error_set(error, ERROR_MEMORY, "out of memory while reading a message");
    if (!make_room(intake, error))
        return false;
    note_progress(intake, bytes.length, now_ms);
    return buffer_add_span(buffer, bytes);
}
