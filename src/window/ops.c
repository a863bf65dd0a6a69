/* Windows as delivery sees them. */
#include "window/reading.h"
#include "window/window.h"

/* A copy on the heap of what the spec owns; it is taken over. */
static struct window_spec *keep(struct window_spec *spec, struct error *error)
{
    struct window_spec *kept = memory_new(sizeof *kept);
    if (kept) {
        *kept = *spec;
        return kept;
    }
    window_spec_fini(spec);
    error_set(error, ERROR_MEMORY, "out of memory for a window");
    return NULL;
}

static void drop(struct window_spec *spec)
{
    if (spec)
        window_spec_fini(spec);
    memory_free(spec);
}

/* A subscription that coalesces gets the diff of an interval, as members of a window do. */
static bool is_wanted(const struct view *view, const struct wire_subscribe *message)
{
    return view->stage || view->coalesce_ms || message->take >= 0 || message->skip >= 0 ||
           message->query;
}

static bool wanted(const struct hub *hub, const struct view *view,
                   const struct wire_subscribe *message, struct row_scope *scope,
                   struct window_spec **spec, struct error *error)
{
    struct window_spec made;
    *spec = NULL;
    if (!is_wanted(view, message))
        return true;
    if (!window_spec_make(hub, view, message, &made, error))
        return false;
    if (view->scope)
        made.scope = row_scope_ref(scope);
    *spec = keep(&made, error);
    return *spec != NULL;
}

static struct window_spec *of_key(const struct hub *hub, const struct view *view,
                                  const struct wire_subscribe *message, struct row_scope *scope,
                                  struct error *error)
{
    struct window_spec made;
    if (!window_spec_make(hub, view, message, &made, error))
        return NULL;
    made.is_extra = true;
    made.scope = view->scope ? row_scope_ref(scope) : NULL;
    return keep(&made, error);
}

static struct window_spec *moved(const struct subscription *subscription, struct row_scope *scope)
{
    struct window_spec copy;
    return window_spec_copy(&subscription->member->window->spec, scope, &copy) ? keep(&copy, NULL)
                                                                               : NULL;
}

static struct span key(const struct subscription *subscription)
{
    return subscription->member->window->spec.key;
}

static bool part(const struct subscription *subscription, int64_t *take, int64_t *skip)
{
    return window_part(subscription->member->window, take, skip);
}

static const struct view_query *order(const struct subscription *subscription)
{
    const struct window *window = subscription->member->window;
    return window_has_order(window) ? window->spec.query : NULL;
}

static struct previous_source *source(const struct subscription *subscription)
{
    return &subscription->member->window->source;
}

static bool has_shown(const struct subscription *subscription)
{
    return subscription->member->window->published.version > 0;
}

static int64_t newest_state(const struct subscription *subscription)
{
    return subscription->member->window->published.change;
}

static bool states_row(const struct subscription *subscription)
{
    return subscription->member->request && subscription->member->request->kind == WINDOW_STATE;
}

static void describe(const struct subscription *subscription, struct subscription_facts *facts)
{
    const struct member *member = subscription->member;
    const struct window *window = member->window;
    facts->window = window->in_listed.number;
    facts->asked = window_spec_asked(&window->spec);
    facts->change = member_has(subscription);
}

/* See struct window_ops for these four. */
static void begin_moved(struct subscription *subscription)
{
    window_begin(subscription);
    if (!link_alone(&subscription->previous.rows))
        subscription->member->phase = MEMBER_MOVED;
}

static void resume(struct subscription *subscription, int64_t from, bool current)
{
    subscription->member->phase = MEMBER_RESUMING;
    subscription->member->from = from;
    subscription->member->current = current;
    subscriber_ready(subscription);
}

static void resume_near(struct subscription *subscription, struct seq after,
                        const struct cursor_origin *origin)
{
    struct member *member = subscription->member;
    member->looks_up = true;
    member->after = after;
    member->parted = origin->parted;
    resume(subscription, 0, origin->current);
}

static void inherit(struct subscription *subscription)
{
    subscription->member->phase = MEMBER_LIVE;
}

const struct window_ops window_ops = {
    .open = windows_new,
    .close = windows_free,
    .commit = windows_commit,
    .end_lingering = windows_end_lingering,
    .wanted = wanted,
    .of_key = of_key,
    .moved = moved,
    .drop = drop,
    .join = window_join,
    .leave = window_leave,
    .disown = windows_share_unsettle,
    .reader = &window_reader,
    .begin = window_begin,
    .begin_moved = begin_moved,
    .resume = resume,
    .resume_near = resume_near,
    .find_cursor = window_find_cursor,
    .inherit = inherit,
    .key = key,
    .part = part,
    .describe = describe,
    .order = order,
    .source = source,
    .shown = window_shown,
    .has_shown = has_shown,
    .newest_state = newest_state,
    .states_row = states_row,
};
