/* Version 2: the heads that come before bodies, and where a snapshot begins and ends. */
#include "session/named_internal.h"

#include <inttypes.h>
#include <stdio.h>

static bool make_batch_head(struct named *named)
{
    struct frontend *frontend = named->set->session->frontend;
    char id[48], epoch[HUB_EPOCH];
    const char *key = named->asked.subscribe.key;
    if (named->batch_head.length)
        return true;
    snprintf(id, sizeof id, "%" PRIx64 "-%" PRIx64, frontend->started_ms, ++frontend->snapshots);
    struct wire_batch_head head = {
        .id = span_of(named->asked.id), .snapshot = span_of(id), .authoritative = !named->resumes};
    if (key)
        head.key = span_of(key);
    if (named->replaced && subscriber_epoch(named->subscriber, epoch))
        head.epoch = span_of(epoch);
    return wire_head_batch(&named->batch_head, &head);
}

static bool join_frame(struct named *named, struct span frame, struct span head)
{
    struct named_set *set = named->set;
    bool joined = wire_behind_head(&set->session->frontend->joined, frame, head, &named->joint);
    set->inside = joined && named->joint.inside ? named : NULL;
    set->broken |= !joined;
    return joined;
}

static bool join_batch(struct named *named, struct span frame, bool completes)
{
    if (!make_batch_head(named) || !join_frame(named, frame, buffer_span(&named->batch_head)))
        return false;
    named->unfinished = !completes;
    if (completes) {
        buffer_clear(&named->batch_head);
        named->resumes = true; /* no other begins without an answer of its own */
    }
    return true;
}

/* A snapshot that begins again ends first. */
static bool complete(struct named *named)
{
    struct buffer body;
    buffer_init(&body, NAMED_ANSWERS);
    bool done = wire_batch_nothing(&body, hub_state(named->set->session->frontend->hub).encoding,
                                   named->facts.mode, span_of(named->asked.subscribe.view)) &&
                join_batch(named, buffer_span(&body), true);
    buffer_fini(&body);
    return done;
}

bool named_heads_fit(const struct wire_message *asked)
{
    static const char longest_id[] = "ffffffffffffffff-ffffffffffffffff"; /* of a snapshot */
    char longest_epoch[HUB_EPOCH];
    const char *key = asked->subscribe.key;
    struct buffer head;
    memset(longest_epoch, 'f', sizeof longest_epoch);
    buffer_init(&head, WIRE_HEAD);
    bool fit = wire_head_accepted(&head, span_of(asked->id), span_of(asked->query), INT64_MAX);
    buffer_clear(&head);
    fit = fit && wire_head_batch(&head, &(struct wire_batch_head){
                                            .id = span_of(asked->id),
                                            .snapshot = span_of(longest_id),
                                            .key = key ? span_of(key) : span_make(NULL, 0),
                                            .epoch = span_make(longest_epoch, HUB_EPOCH)});
    buffer_fini(&head);
    return fit;
}

static bool join_accepted(struct named *named, struct span frame, bool resumed)
{
    const struct wire_subscribe *asked = &named->asked.subscribe;
    struct buffer head;
    if (named->accepted) {
        bool ready = !named->unfinished || complete(named);
        buffer_clear(&named->batch_head);
        named->resumes = resumed;
        named->replaced |= !resumed;
        /* Who wants no rows is told all the same that those which it has count no more. */
        return ready && (resumed || asked->with_snapshot || complete(named));
    }
    named->accepted = true;
    named->resumes = resumed || named->facts.has_tape;
    buffer_init(&head, WIRE_HEAD);
    bool joined = wire_head_accepted(&head, span_of(named->asked.id), span_of(named->asked.query),
                                     asked->take < 0 ? named->facts.take : 0) &&
                  join_frame(named, frame, buffer_span(&head));
    buffer_fini(&head);
    return joined;
}

static bool join(struct named *named, struct span frame)
{
    enum wire_part part = named->joint.inside ? WIRE_WHOLE : wire_part_of(frame);
    switch (part) {
    case WIRE_ACCEPTED:
    case WIRE_RESUMED:
        return join_accepted(named, frame, part == WIRE_RESUMED);
    case WIRE_BATCH:
    case WIRE_LAST_BATCH:
        return join_batch(named, frame, part == WIRE_LAST_BATCH);
    case WIRE_LIVE:
    case WIRE_PROBLEM:
    case WIRE_WHOLE:
        break;
    }
    return join_frame(named, frame, buffer_span(&named->head));
}

bool named_join(struct named *named, struct span bytes, size_t *joined)
{
    struct named_set *set = named->set;
    *joined = 0;
    bool done = named->joint.inside || wire_live_behind_head(&set->session->frontend->joined, bytes,
                                                             buffer_span(&named->head), joined);
    if (done && !*joined) {
        *joined = wire_frame_length(bytes);
        done = join(named, span_make(bytes.data, *joined));
    }
    set->broken |= !done;
    return done;
}
