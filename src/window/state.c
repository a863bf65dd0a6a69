/*
 * A window of a key beside another subscription of its connection that shows more of the view (see
 * key_owner.c). The client has the row while one of the two shows it. Neither knows the rows of the
 * other, and each may be ahead of the other. So the frames of both about the key are passed over:
 * they only mark that there may be news. A refresh then states the row as it is now: an upsert with
 * all of it, a delete when neither of the two shows it, nothing when the client has that state
 * already.
 *
 * A mark that comes while a refresh is under way goes into the next one. So the last statement
 * comes behind the last change of both, and is right.
 */
#include "delivery/key_owner.h"
#include "window/reading.h"

/* ---- on the loop ---- */

/* The window has one row at most, so every frame is about it. */
static void pass_over_frames(struct subscription *subscription)
{
    struct member *member = subscription->member;
    const struct window *window = member->window;
    struct frame_run run = {.behind = !member->in_frame_log};
    INVARIANT(run.behind || window->frame_log_on);
    if (!run.behind)
        run = frame_log_take(&window->frame_log, &member->at, span_make(NULL, 0));
    while (run.bytes.length) {
        subscription->beside.unstated = true;
        run = frame_log_take(&window->frame_log, &member->at, span_make(NULL, 0));
    }
    if (run.behind)
        subscription->beside.unstated = true;
    else
        member->version = member->at.id;
    member->in_frame_log = !run.behind;
}

bool window_state_due(struct subscription *subscription)
{
    pass_over_frames(subscription);
    return (subscription->beside.unstated || subscription->beside.restates) &&
           !key_owner_other(subscription).is_opening;
}

bool window_state_ask(struct subscription *subscription, struct window_request *request)
{
    const struct key_owner_other beside = key_owner_other(subscription);
    const struct subscription *other = beside.shows;
    if (other && !previous_lend_shown(other, &request->previous))
        return false;
    INVARIANT(subscription->member->window->spec.key.data); /* of one row */
    request->statement.unstated = subscription->beside.unstated;
    request->statement.restates = subscription->beside.restates;
    request->statement.inherits = subscription->beside.stay == BESIDE_HEIR;
    request->statement.stated = subscription->beside.stated;
    request->statement.since = beside.state;
    subscription->beside.unstated = subscription->beside.restates = false;
    return true;
}

/* ---- on a reader ---- */

static bool has_row(const struct window *window, struct span key)
{
    for (size_t i = 0; i < window->content.rows.count; i++)
        if (span_equal(window_row_key(window->content.rows.list[i]), key))
            return true;
    return false;
}

/* Whether the other shows the row, given that it is there. */
static bool is_shown(const struct window_request *request, struct span key)
{
    const struct link *link;
    for (link = request->previous.next; link != &request->previous; link = link->next) {
        const struct previous *previous = LINK_OWNER(struct previous, in_list, link);
        if (previous->kind == PREVIOUS_ALL ||
            (previous->source && has_row(window_of_previous(previous), key)))
            return true;
    }
    return false;
}

static bool read_row(struct window_reading *reading, struct span key, struct store_entity *entity,
                     bool *found)
{
    const struct window_spec *spec = &reading->window->spec;
    *found = reading->state->found && view_shows(spec->view, key);
    if (*found && !store_read_entity(reading->reader, reading->state->export.id, key, entity, found,
                                     &reading->result->error))
        return false;
    *found = *found && (!spec->scope || row_scope_shows(spec->scope, spec->view, entity->data));
    return true;
}

/* Whether the client has it so already: it was told last, and no batch of the other since can have
 * had it otherwise. */
static bool is_known(const struct window_request *request, int64_t change)
{
    return request->statement.stated == change &&
           (!request->statement.restates || (change > 0 && change <= request->statement.since));
}

static bool put_row(struct window_reading *reading, const struct store_entity *entity,
                    const struct seq *cursor, struct text **text)
{
    struct row_frames frames;
    window_frames_init(&frames, reading);
    bool done = row_frames_put_at(&frames, entity ? ROW_UPSERT : ROW_DELETE,
                                  reading->window->spec.key, entity, cursor) &&
                row_sink_end(&frames.sink, text);
    row_frames_fini(&frames);
    return done || error_set(&reading->result->error, ERROR_MEMORY,
                             "out of memory while stating the row of a window");
}

bool window_encode_state(struct window_reading *reading, struct window_request *request)
{
    const struct window *window = reading->window;
    struct span key = window->spec.key;
    struct seq cursor = view_state_cursor(reading->state);
    struct store_entity entity;
    bool found, shown = window->content.rows.count > 0 && !request->statement.inherits;
    request->statement.state = reading->state->log.last_change;
    /* This refresh needs no frame for its row: the member goes on behind it. */
    bool unstated = request->statement.unstated || reading->result->version != request->from;
    if (!shown && !unstated) {
        request->statement.stated =
            KEY_STATED_UNKNOWN; /* the row is as the batch of the other has it */
        return true;
    }
    if (!read_row(reading, key, &entity, &found))
        return false;
    found = found && (shown || is_shown(request, key));
    int64_t change = found ? entity.change : 0;
    if (is_known(request, change))
        return true;
    request->statement.stated = change;
    return put_row(reading, found ? &entity : NULL, NULL, &request->text) &&
           put_row(reading, found ? &entity : NULL, &cursor, &request->statement.with_cursor);
}
