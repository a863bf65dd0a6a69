/*
 * Large requests: those that read and merge more than LARGE_BYTES of large entities. One takes the
 * writer for tens of milliseconds, and nothing else is committed meanwhile. Two rules keep that
 * from being what everybody waits for:
 *
 *  1. A large request has a transaction of its own, so none that came before it waits for it.
 *  2. While others write, the writer leaves them four times as long as the last large one took,
 *     before it begins another.
 *
 * Whether a request is large is known only once it is being merged. One that may not pass then is
 * put off: what was merged of it is undone, as of one that is refused, and it waits, along with
 * all that its sender sends after it. So each sender's requests stay in order. Those that wait take
 * turns by owner. Nothing waits for ever: the time is bounded by what one request may merge
 * (max_merge_bytes), and where nobody else writes, or the intake is closed, there is no wait.
 */
#include "engine/engine_internal.h"

enum {
    LARGE_BYTES = 1 << 20,
    REST_TIMES = 4,            /* of the time that a large request took, for others */
    OTHERS_US = 1000 * 1000,   /* how long somebody counts as writing after a request */
    MOST_REST_US = 2000 * 1000 /* whatever held up a transaction */
};

/* The waiting requests of one sender, in order; the first is large. */
struct put_off {
    struct queue_item item; /* in the ring */
    uint64_t sender;
    struct lane lane;
};

static struct span put_off_key(const void *value)
{
    const struct put_off *put_off = value;
    return span_make((const char *)&put_off->sender, sizeof put_off->sender);
}

void large_init(struct large_wait *large)
{
    *large = (struct large_wait){.until_us = 0};
    map_init(&large->senders, put_off_key);
}

void large_fini(struct large_wait *large)
{
    INVARIANT(!large->senders.count);
    map_fini(&large->senders);
}

/* ---- when ---- */

static bool others_write(const struct large_wait *large, uint64_t now)
{
    return large->others_us && now - large->others_us < OTHERS_US;
}

static bool is_empty(struct queue *queue)
{
    size_t count, bytes;
    queue_fill(queue, &count, &bytes);
    return count == 0;
}

bool large_is_full(const struct writer *writer)
{
    const struct engine *engine = writer->engine;
    return atomic_load(&engine->large_count) >= engine->options.queue_count ||
           atomic_load(&engine->large_bytes) >= engine->options.queue_bytes;
}

/* Requests in the queue that were not looked at may be of others. */
static bool rest_is_over(const struct writer *writer, uint64_t now)
{
    const struct large_wait *large = &writer->large;
    return now >= large->until_us || large_is_full(writer) ||
           queue_is_closed(&writer->engine->intake) ||
           (!others_write(large, now) && is_empty(&writer->engine->intake));
}

bool large_may_pass(const struct writer *writer)
{
    const struct large_wait *large = &writer->large;
    return (large->releasing || !large->ring.first) && rest_is_over(writer, clock_monotonic_us());
}

int large_rest_ms(const struct writer *writer, int most)
{
    const struct large_wait *large = &writer->large;
    uint64_t now = clock_monotonic_us();
    if (!large->ring.first)
        return most;
    if (rest_is_over(writer, now))
        return 0;
    uint64_t rest = (large->until_us - now) / 1000 + 1;
    return rest < (uint64_t)most ? (int)rest : most;
}

/* ---- while a request is merged ---- */

bool large_admits(struct writer *writer, size_t bytes, struct error *error)
{
    struct large_wait *large = &writer->large;
    if (large->passes || writer->applying.merged + bytes <= LARGE_BYTES)
        return true;
    large->stopped = true;
    return error_set(error, ERROR_QUEUE_FULL, "the request has to wait for others");
}

void large_note(struct writer *writer, const struct submission *submission)
{
    struct large_wait *large = &writer->large;
    INVARIANT(!large->stopped);
    if (writer->applying.merged > LARGE_BYTES) {
        large->ran = large->ends = true;
        large->sender = submission->sender;
    } else if (submission->sender != large->sender) {
        large->others_us = clock_monotonic_us();
    }
}

void large_settle(struct writer *writer, uint64_t begun)
{
    struct large_wait *large = &writer->large;
    uint64_t now = clock_monotonic_us(), rest = (now - begun) * REST_TIMES;
    if (large->ran)
        large->until_us = now + (rest < MOST_REST_US ? rest : MOST_REST_US);
    large->ran = false;
}

/* ---- those that wait ---- */

static struct put_off *find(const struct large_wait *large, uint64_t sender)
{
    return large->senders.count
               ? map_get(&large->senders, span_make((const char *)&sender, sizeof sender))
               : NULL;
}

static struct put_off *make(struct large_wait *large, const struct submission *submission)
{
    struct put_off *put_off = memory_new(sizeof *put_off);
    if (!put_off)
        return NULL;
    put_off->sender = submission->sender;
    if (!map_add(&large->senders, put_off)) {
        memory_free(put_off);
        return NULL;
    }
    lane_ring_add(&large->ring, submission->share_owner, &put_off->item);
    return put_off;
}

static void append(struct writer *writer, struct put_off *put_off, struct submission *submission)
{
    lane_add(&put_off->lane, &submission->event.item);
    atomic_fetch_add(&writer->engine->large_count, 1);
    atomic_fetch_add(&writer->engine->large_bytes, submission->event.item.bytes);
}

bool large_follows(struct writer *writer, struct submission *submission)
{
    struct put_off *put_off = find(&writer->large, submission->sender);
    if (put_off)
        append(writer, put_off, submission);
    return put_off != NULL;
}

bool large_put_off(struct writer *writer, struct submission *submission)
{
    INVARIANT(writer->large.stopped); /* nothing of it is merged */
    struct put_off *put_off = make(&writer->large, submission);
    if (put_off)
        append(writer, put_off, submission);
    return put_off != NULL;
}

struct queue_item *large_release(struct writer *writer)
{
    struct large_wait *large = &writer->large;
    if (!large->ring.first)
        return NULL;
    struct put_off *put_off = (struct put_off *)lane_ring_take(&large->ring);
    struct queue_item *list = put_off->lane.first;
    for (struct queue_item *item = list; item; item = item->next) {
        INVARIANT(atomic_load(&writer->engine->large_count) > 0);
        INVARIANT(atomic_load(&writer->engine->large_bytes) >= item->bytes);
        atomic_fetch_sub(&writer->engine->large_count, 1);
        atomic_fetch_sub(&writer->engine->large_bytes, item->bytes);
    }
    map_remove(&large->senders, put_off_key(put_off));
    memory_free(put_off);
    return list;
}
