/*
 * The ready frames of a topic, for those who want all of its view. Messages of version 1 are the
 * same for everybody, so there is one frame log. Bodies come behind a head, which names the
 * subscription. For a length of head there is a frame log of whole messages with room for it: who
 * takes frames has its head written into them, and nothing is put together for one alone. Clients
 * make ids of one or two lengths. Those of others, beyond TOPIC_ROOMS lengths, share a frame log
 * of bodies, and their heads are put before copies of them.
 */
#include "delivery/hub_internal.h"

enum { TOPIC_ROOMS = 4 };

/* ---- counting ---- */

/* It had so many bytes before something was done to it. */
static void count(struct topic_log *log, size_t before)
{
    struct topic_registry *topics = &log->topic->hub->topics;
    bool is_long = log->frames.next - log->frames.first >= 2;
    INVARIANT(topics->channel_bytes + log->frames.bytes >= before);
    topics->channel_bytes += log->frames.bytes - before;
    if (is_long != link_alone(&log->in_long))
        return;
    if (is_long)
        link_append(&topics->long_frame_logs, &log->in_long);
    else
        link_remove(&log->in_long);
}

/* One cap for all views: the fullest frame log gives its oldest block. */
void topics_trim(struct hub *hub)
{
    while (hub->topics.channel_bytes > hub->options.channel_bytes &&
           !link_alone(&hub->topics.long_frame_logs)) {
        struct link *link = hub->topics.long_frame_logs.next;
        struct topic_log *fullest = LINK_OWNER(struct topic_log, in_long, link);
        for (; link != &hub->topics.long_frame_logs; link = link->next) {
            struct topic_log *log = LINK_OWNER(struct topic_log, in_long, link);
            if (log->frames.bytes > fullest->frames.bytes)
                fullest = log;
        }
        size_t before = fullest->frames.bytes;
        frame_log_drop_oldest(&fullest->frames);
        count(fullest, before);
    }
}

/* ---- entering and leaving ---- */

static struct topic_log *log_new(struct topic *topic, size_t room)
{
    struct topic_log *log = memory_new(sizeof *log);
    if (!log)
        return NULL;
    log->topic = topic;
    link_init(&log->in_long);
    link_init(&log->in_topic);
    link_append(&topic->logs, &log->in_topic);
    frame_log_init(&log->frames, topic->hub->backlog.last, room);
    return log;
}

static struct topic_log *log_get(struct topic *topic, size_t room)
{
    size_t rooms = 0;
    struct topic_log *bodies = NULL;
    for (struct link *link = topic->logs.next; link != &topic->logs; link = link->next) {
        struct topic_log *log = LINK_OWNER(struct topic_log, in_topic, link);
        if (log->frames.room == room)
            return log;
        if (!log->frames.room)
            bodies = log;
        rooms += log->frames.room > 0;
    }
    if (rooms < TOPIC_ROOMS)
        return log_new(topic, room);
    return bodies ? bodies : log_new(topic, 0);
}

bool topic_log_enter(struct subscription *subscription)
{
    if (subscription->live.log)
        return true;
    subscription->live.log = log_get(subscription->topic, subscription->subscriber->head.length);
    if (!subscription->live.log)
        return false;
    subscription->live.log->takers++;
    return true;
}

void topic_log_leave(struct subscription *subscription)
{
    struct topic_log *log = subscription->live.log;
    subscription->live.log = NULL;
    if (!log)
        return;
    INVARIANT(log->topic == subscription->topic && log->takers > 0);
    if (--log->takers)
        return;
    size_t before = log->frames.bytes;
    frame_log_fini(&log->frames);
    count(log, before);
    link_remove(&log->in_topic);
    memory_free(log);
}

/* ---- what is in it ---- */

/* Frames with room that would fill more than a block stand alone, as bodies. */
static bool add(struct topic_log *log, int64_t id, struct span frames)
{
    struct buffer *roomy = &log->topic->hub->scratch.roomy;
    buffer_clear(roomy);
    if (log->frames.room && !wire_live_with_room(roomy, frames, log->frames.room))
        return false;
    if (log->frames.room && roomy->length && roomy->length <= FRAME_LOG_BLOCK)
        frames = buffer_span(roomy);
    else if (log->frames.room)
        return frame_log_add_alone(&log->frames, id, frames);
    return frames_add(&log->frames, id, frames);
}

static void offer(struct topic_log *log, int64_t id, bool made, struct span frames)
{
    size_t before = log->frames.bytes;
    if (!made || (frames.length && !add(log, id, frames))) {
        /* Out of memory. Passed and emptied, all its cursors are behind: the database has it. */
        if (log->frames.head < id)
            frame_log_pass(&log->frames, id);
        frame_log_clear(&log->frames);
    }
    count(log, before);
}

void topic_logs_offer(struct topic *topic, const struct change *change)
{
    struct buffer *frames = &topic->hub->scratch.frame;
    if (link_alone(&topic->logs) || !view_shows(topic->view, change_key(change)))
        return;
    buffer_clear(frames);
    bool made = frame_change(topic, change, KEY_SENT_WHOLE, frames);
    for (struct link *link = topic->logs.next; link != &topic->logs; link = link->next)
        offer(LINK_OWNER(struct topic_log, in_topic, link), change->id, made, buffer_span(frames));
}

void topic_log_pass(struct topic_log *log, int64_t head)
{
    if (log->frames.head < head)
        frame_log_pass(&log->frames, head);
}
