/*
 * Where a cursor stands, as far as the newest changes in memory show. Mostly they show enough: so
 * much changed behind it that a snapshot costs no more than what its member lacks, so that neither
 * its position in the log nor a refresh of its own is needed; or it is among them, so that finding
 * it takes a refresh no time. Else a job of its own finds it.
 *
 * Thousands may come back at once, each with a cursor of its own. So the changes are looked at once
 * after a commit, as far back as somebody asks, and it is noted how many entities they are of.
 */
#include "window/reading.h"

enum {
    MOST_KEYS = 64,        /* that are told apart, */
    SLOTS = 2 * MOST_KEYS, /* ... by hash */
    MOST_CHANGES = 512,    /* that are looked at */
    DELETE_BYTES = 72      /* of the frame of a delete, about, but for the name of its view */
};

/* A change of the export, and how many entities it and the newer ones are of; at most MOST_KEYS and
 * one. */
struct noted {
    struct seq seq;
    int64_t keys;
};

struct window_newest {
    uint32_t export_id;
    int64_t last;   /* the hub's newest change; 0: nothing was looked at */
    int64_t looked; /* changes */
    int64_t keys;   /* entities */
    size_t count;   /* of `list` */
    struct span
        set[SLOTS]; /* keys; borrowed from the backlog, which has them until the next commit */
    struct noted list[MOST_CHANGES];
};

/* Where the key stands in the set, or would. */
static struct span *place_of(struct window_newest *newest, struct span key)
{
    size_t at = map_hash(key) % SLOTS;
    while (newest->set[at].data && !span_equal(newest->set[at], key))
        at = (at + 1) % SLOTS;
    return &newest->set[at];
}

static void note(struct window_newest *newest, const struct change *change)
{
    struct span *place = newest->keys <= MOST_KEYS ? place_of(newest, change_key(change)) : NULL;
    if (place && !place->data) {
        *place = change_key(change);
        newest->keys++;
    }
    newest->list[newest->count++] = (struct noted){{change->slot, change->index}, newest->keys};
}

/* Look at older changes, up to the next one of the export; false: there is none. */
static bool look_on(struct window_newest *newest, const struct hub *hub)
{
    const struct change *change;
    while (newest->looked < MOST_CHANGES &&
           (change = backlog_get(&hub->backlog, newest->last - newest->looked))) {
        newest->looked++;
        if (change->export_id != newest->export_id)
            continue;
        note(newest, change);
        return true;
    }
    return false;
}

/* NULL when out of memory. */
static struct window_newest *newest_of(struct hub *hub, uint32_t export_id)
{
    struct windows *windows = hub->windows;
    if (!windows->newest)
        windows->newest = memory_new(sizeof *windows->newest);
    struct window_newest *newest = windows->newest;
    if (newest && (newest->last != hub->backlog.last || newest->export_id != export_id)) {
        memset(newest->set, 0, sizeof newest->set);
        newest->export_id = export_id;
        newest->last = hub->backlog.last;
        newest->looked = newest->keys = 0;
        newest->count = 0;
    }
    return newest;
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
static enum window_cursor look(struct hub *hub, uint32_t export_id, struct seq after, int64_t most)
{
    struct window_newest *newest = newest_of(hub, export_id);
    for (size_t i = 0; newest && (i < newest->count || look_on(newest, hub)); i++) {
        int order = seq_compare(newest->list[i].seq, after);
        if (order <= 0)
            return order == 0 ? WINDOW_CURSOR_NEAR : WINDOW_CURSOR_FAR;
        if (most >= 0 && newest->list[i].keys > most)
            return WINDOW_CURSOR_BEHIND;
    }
    return WINDOW_CURSOR_FAR;
}

/* Whether what a member lacks behind so many changes is longer than a snapshot, as far as that is
 * known of rows which are too few to be compressed. */
static bool is_long(const struct window *window, int64_t changes)
{
    size_t count = (size_t)changes, rows = count * window->snapshot.row_bytes;
    size_t bytes = rows + 2 * count * (DELETE_BYTES + strlen(window->spec.view->id));
    return rows < WIRE_GZIP_MINIMUM && bytes > WINDOW_FEW_BYTES && bytes > window->snapshot.bytes;
}

/* How many entities may have changed so that what a member lacks is made. To make it and to find
 * then that a snapshot is shorter costs more than the snapshot. */
static int64_t affords(const struct window *window)
{
    bool more = !window->busy && window->content.known && window->content.more;
    bool anywhere = more && window->spec.stage;
    int64_t most = window_since_affords(window->spec.take, more, anywhere);
    while (anywhere && most > 1 && window->snapshot.bytes && is_long(window, most))
        most--;
    return most;
}

enum window_cursor window_find_cursor(const struct subscription *subscription, struct seq after)
{
    const struct window *window = subscription->member->window;
    const struct topic *topic = subscription->topic;
    bool may_refuse = subscription->asked.with_snapshot && subscription->asked.limit < 0 &&
                      counts_all(&window->spec);
    int64_t most = may_refuse ? affords(window) : -1;
    return look(topic->hub, topic->export->id, after, most <= MOST_KEYS ? most : -1);
}
