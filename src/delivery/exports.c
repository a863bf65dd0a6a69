/*
 * The exports that the hub knows, the one registry of the loop; also those that are waited for. In
 * an open server an export appears when it is first fed, and a subscriber may come before that.
 * Then the three views of the future export are empty ones. On the loop such an export is a name
 * without a number. Readers look for it by its name and find nothing, so all else is as with any
 * other. When it is fed, the number comes (hub_add_export).
 *
 * Names of clients cost memory, so there are bounds, and a name is forgotten with its last topic.
 */
#include "delivery/hub_internal.h"

#include <stdio.h>

enum { NAME_SIZE = 160 };

/* ---- the registry ---- */

static struct span export_key(const void *value)
{
    const struct hub_export *export = value;
    return span_make(export->name, export->name_length);
}

void exports_init(struct hub *hub)
{
    map_init(&hub->exports.by_name, export_key);
}

void exports_fini(struct hub *hub)
{
    size_t position = 0;
    struct hub_export *export;
    while ((export = map_next(&hub->exports.by_name, &position))) {
        label_index_fini(&export->by_label);
        memory_free(export);
    }
    map_fini(&hub->exports.by_name);
    memory_free(hub->exports.by_id);
}

static struct hub_export *find(const struct hub *hub, struct span name)
{
    return map_get(&hub->exports.by_name, name);
}

static struct hub_export *new_export(struct hub *hub, struct span name)
{
    struct hub_export *export = memory_alloc(sizeof *export + name.length);
    if (!export)
        return NULL;
    *export = (struct hub_export){.id = UINT32_MAX, .name_length = name.length};
    memcpy(export->name, name.data, name.length);
    link_init(&export->topics);
    label_index_init(&export->by_label);
    if (map_add(&hub->exports.by_name, export))
        return export;
    label_index_fini(&export->by_label);
    memory_free(export);
    return NULL;
}

static void drop_export(struct hub *hub, struct hub_export *export)
{
    map_remove(&hub->exports.by_name, export_key(export));
    label_index_fini(&export->by_label);
    memory_free(export);
}

static bool note_id(struct hub *hub, struct hub_export *export)
{
    if (export->id >= hub->exports.by_id_count) {
        size_t count = (size_t) export->id * 2 + 16;
        struct hub_export **by_id = memory_resize(hub->exports.by_id, count * sizeof *by_id);
        if (!by_id)
            return false;
        memset(by_id + hub->exports.by_id_count, 0,
               (count - hub->exports.by_id_count) * sizeof *by_id);
        hub->exports.by_id = by_id;
        hub->exports.by_id_count = count;
    }
    hub->exports.by_id[export->id] = export;
    return true;
}

/* One that was waited for is it from now on; whoever waits has the views that the set now has. */
void hub_add_export(struct hub *hub, const struct store_export *row)
{
    struct error error;
    struct hub_export *export = find(hub, row->name);
    if (export && !export->waiting)
        return;
    if (!view_set_export(hub->views, row->name)) {
        if (!view_set_is_open(hub->views))
            return;
        if (!view_set_add_export(hub->views, row->name, &error)) {
            log_error("hub", "export-lost", log_text("error", error.message));
            return;
        }
    }
    if (!export)
        export = new_export(hub, row->name);
    if (!export)
        return;
    bool waited_for = export->waiting;
    export->id = row->id;
    if (!note_id(hub, export)) {
        log_error("hub", "export-lost", log_text("error", "out of memory"));
        export->id = UINT32_MAX;
        if (!waited_for)
            drop_export(hub, export);
        return;
    }
    export->last_change = row->last_change;
    export->waiting = false;
    INVARIANT(hub->exports.waiting >= waited_for);
    hub->exports.waiting -= waited_for;
}

/* ---- views of exports ---- */

/* Only the views that the client may see, so that the words are the same whether a name is
 * hidden or not there. */
static void offer_views(const struct hub *hub, const struct auth_identity *identity,
                        struct nearest *nearest)
{
    const struct view *view;
    for (size_t i = 0; (view = view_set_at(hub->views, i)); i++)
        if (!identity || auth_may_view(identity, span_of(view->id)))
            nearest_offer(nearest, view->id);
}

/* If every export has its three views: the one of this export. */
static void offer_plain(const struct hub *hub, const struct auth_identity *identity,
                        struct nearest *nearest, char plain[3][NAME_SIZE])
{
    static const char *const modes[] = {"list", "state", "append"};
    const char *slash = strrchr(nearest->given, '/');
    size_t length = slash ? (size_t)(slash - nearest->given) : strlen(nearest->given);
    for (size_t i = 0; view_set_is_open(hub->views) && i < 3; i++) {
        snprintf(plain[i], NAME_SIZE, "%.*s/%s", (int)length, nearest->given, modes[i]);
        if (view_is_plain(span_of(plain[i])) &&
            (!identity || auth_may_view(identity, span_of(plain[i]))))
            nearest_offer(nearest, plain[i]);
    }
}

bool hub_view_unknown(const struct hub *hub, const struct auth_identity *identity, struct span id,
                      struct error *error)
{
    char given[NAME_SIZE], plain[3][NAME_SIZE];
    struct nearest nearest = {.given = given};
    bool is_short = id.length < 128;
    snprintf(given, sizeof given, "%.*s", (int)(is_short ? id.length : 128), id.data);
    if (is_short) {
        offer_views(hub, identity, &nearest);
        offer_plain(hub, identity, &nearest, plain);
    }
    return error_set(error, ERROR_VIEW_NOT_FOUND, "view '%s' is not known; %s%s%s%s", given,
                     nearest.name ? "did you mean '" : "", nearest.name ? nearest.name : "",
                     nearest.name ? "'? " : "",
                     view_set_is_open(hub->views)
                         ? "every export has the views '/list', '/state' and '/append', and no "
                           "export's name is empty or longer than 128 bytes"
                         : "this server shows the views that its configuration names");
}

const struct view *hub_find_view(const struct hub *hub, const struct auth_identity *identity,
                                 struct span id, struct error *error)
{
    const struct view *view = view_set_find(hub->views, id);
    if (view)
        return view_ref(view);
    if (view_set_is_open(hub->views) && view_is_plain(id))
        return view_plain_new(id, error);
    hub_view_unknown(hub, identity, id, error);
    return NULL;
}

/* The different ones, less the one of that name. */
static size_t count_others(struct subscriber *subscriber, struct span name)
{
    uint64_t ask = ++subscriber->hub->exports.asks;
    size_t count = 0;
    struct link *link = subscriber->subscriptions.next;
    for (; link != &subscriber->subscriptions; link = link->next) {
        struct hub_export *export =
            LINK_OWNER(struct subscription, in_subscriber, link)->topic->export;
        if (!export->waiting || export->counted == ask)
            continue;
        export->counted = ask;
        count += !span_equal(span_make(export->name, export->name_length), name);
    }
    return count;
}

bool hub_may_wait(struct subscriber *subscriber, const struct view *view, struct error *error)
{
    struct hub *hub = subscriber->hub;
    struct span name = span_of(view->export_name);
    const struct hub_export *export = find(hub, name);
    if (export && !export->waiting)
        return true;
    size_t own = count_others(subscriber, name);
    if (own >= HUB_WAITING_EACH)
        return error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                         "export '%.128s' was never fed, and this connection waits for %zu such "
                         "exports already, the most it may; unsubscribe from one, feed it first, "
                         "or name the exports in the configuration",
                         view->export_name, own);
    if (!export)
        hub->window_ops->end_lingering(hub->windows); /* may be all that holds a name */
    return export || hub->exports.waiting < hub->options.max_waiting ||
           error_set(error, ERROR_SUBSCRIPTION_LIMIT,
                     "export '%.128s' was never fed, and %zu such exports are waited for already, "
                     "as many as max_waiting_exports allows; feed it first, or name the exports "
                     "in the configuration",
                     view->export_name, hub->exports.waiting);
}

struct hub_export *hub_await(struct hub *hub, const struct view *view)
{
    struct span name = span_of(view->export_name);
    struct hub_export *export = find(hub, name);
    if (export)
        return export;
    export = new_export(hub, name);
    if (!export)
        return NULL;
    export->waiting = true;
    hub->exports.waiting++;
    return export;
}

void hub_stop_waiting(struct hub *hub, struct hub_export *export)
{
    if (!export->waiting || !link_alone(&export->topics))
        return;
    INVARIANT(hub->exports.waiting > 0);
    hub->exports.waiting--;
    drop_export(hub, export);
}
