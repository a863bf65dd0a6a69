/*
 * Where a cursor stands, as far as the newest changes in memory show. Mostly they show enough: so
 * much changed behind it that a snapshot costs no more than what its member lacks, so that neither
 * its position in the log nor a refresh of its own is needed; or it is among them, so that finding
 * it takes a refresh no time. Else a job of its own finds it.
 */
#include "window/reading.h"

enum {
    MOST_KEYS = 64,    /* they are compared with each other */
    MOST_CHANGES = 512 /* that are looked at */
};

struct keys {
    struct span list[MOST_KEYS];
    int64_t count;
};

static bool has(const struct keys *keys, struct span key)
{
    for (int64_t i = 0; i < keys->count; i++)
        if (span_equal(keys->list[i], key))
            return true;
    return false;
}

/* Whether each entity that changes counts, whichever it is; else few may be for this window. */
static bool counts_all(const struct window_spec *spec)
{
    return !spec->scope && !spec->view->key_count && !spec->key.data && spec->take != VIEW_ALL;
}

/*
 * More than `most` entities changed by the newest changes, all of greater seqs: wherever the cursor
 * stands, these are behind it, and it is refused. `most` negative: nothing is.
 */
static enum window_cursor look(const struct hub *hub, uint32_t export_id, struct seq after,
                               int64_t most)
{
    struct keys keys = {.count = 0};
    int64_t id = hub->backlog.last;
    const struct change *change;
    for (int i = 0; i < MOST_CHANGES && (change = backlog_get(&hub->backlog, id)); i++, id--) {
        if (change->export_id != export_id)
            continue;
        int order = seq_compare((struct seq){change->slot, change->index}, after);
        if (order <= 0)
            return order == 0 ? WINDOW_CURSOR_NEAR : WINDOW_CURSOR_FAR;
        if (most < 0 || has(&keys, change_key(change)))
            continue;
        if (keys.count == most)
            return WINDOW_CURSOR_BEHIND;
        keys.list[keys.count++] = change_key(change);
    }
    return WINDOW_CURSOR_FAR;
}

enum window_cursor window_find_cursor(const struct subscription *subscription, struct seq after)
{
    const struct window *window = subscription->member->window;
    const struct window_spec *spec = &window->spec;
    const struct topic *topic = subscription->topic;
    bool may_refuse =
        subscription->asked.with_snapshot && subscription->asked.limit < 0 && counts_all(spec);
    bool more = !window->busy && window->content.known && window->content.more;
    int64_t most = may_refuse ? window_since_affords(spec->take, more) : -1;
    return look(topic->hub, topic->export->id, after, most <= MOST_KEYS ? most : -1);
}
