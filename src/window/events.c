/*
 * Windows of append views: filters over events. A member gets each change of a matching entity by
 * itself; none is merged away. An entity that begins to match comes whole; one that ceases to match
 * is deleted. The refresh compares the entity at the last refresh with the entity now. Its states
 * in between show in its events alone.
 */
#include "delivery/catch_up_internal.h"
#include "rows/scoped_scan.h"
#include "window/reading.h"

struct events {
    struct window_reading *reading;
    struct map is; /* the new rows; the old ones are reading->old */
    struct catch_up_request request;
    struct catch_up_frames frames;
    size_t count;
};

/* The last change of the key: what it is now, it became by this one. */
static bool is_last(const struct store_change *change, const struct store_entity *entity)
{
    return entity ? entity->change == change->id : row_is_gone(change->operation);
}

static bool put_whole(struct events *events, const struct store_change *change,
                      const struct store_entity *entity)
{
    enum row_operation operation = entity                           ? ROW_UPSERT
                                   : row_is_gone(change->operation) ? ROW_DELETE
                                                                    : ROW_REMOVE;
    events->count++;
    return row_frames_put_at(&events->frames.frames, operation, change->key, entity,
                             &change->seq) ||
           out_of_memory(events->reading);
}

/* An event out of sight is not sent. A client that comes into sight again gets the entity whole,
 * from the log. */
static bool put_event(struct events *events, const struct store_change *change,
                      const struct store_entity *entity)
{
    struct sight sight = row_scope_log_sight(events->reading->window->spec.scope, change);
    if (!sight.before && !sight.after)
        return true;
    events->count++;
    return sight.after ? catch_up_put_event(&events->frames, change, false, entity)
                       : catch_up_put_event(&events->frames, change, true, NULL);
}

/* A member that resumes behind this change gets no later event of an unseen entity, so the
 * delete is sent here. */
static bool is_out_of_sight(const struct events *events, const struct store_change *change)
{
    struct sight sight = row_scope_log_sight(events->reading->window->spec.scope, change);
    return events->reading->window->spec.scope && sight.before && !sight.after;
}

/* Whether every member was sent the row whole: of those that did not begin with all rows, the one
 * that came last was there when it was told. */
static bool is_known(const struct events *events, const struct window_row *row)
{
    const struct window *window = events->reading->window;
    return !window->spec.is_partial || row->version > window->published.joined;
}

static bool each_change(void *argument, const struct store_change *change,
                        const struct store_entity *entity)
{
    struct events *events = argument;
    struct window_row *was = map_get(&events->reading->old, change->key);
    bool is = map_get(&events->is, change->key) != NULL;
    if (was && is && is_known(events, was))
        return put_event(events, change, entity);
    if (was && is) /* with its later events in it */
        return !is_last(change, entity) || put_whole(events, change, entity);
    if (!was && !is)
        return true;
    if ((!is_last(change, entity) && !(was && is_out_of_sight(events, change))) ||
        (was && was->mark == FATE_REPLACED))
        return true;
    if (was)
        was->mark = FATE_REPLACED; /* told: a key that was deleted twice goes once */
    return put_whole(events, change, is ? entity : NULL);
}

bool window_encode_events(struct window_reading *reading, struct text **text, size_t *count)
{
    const struct window *window = reading->window;
    const struct view_state *state = reading->state;
    struct error *error = &reading->result->error;
    struct events events = {.reading = reading,
                            .request = {.view = window->spec.view,
                                        .mode = window->mode,
                                        .style = CATCH_UP_EVENTS,
                                        .max_array = reading->max_array}};
    catch_up_frames_init(&events.frames, &events.request, error);
    bool done = window_rows_index(&reading->rows, &events.is) || out_of_memory(reading);
    done = done && window_index_old(reading);
    if (done)
        done = scoped_scan_changes((struct scoped){window->spec.scope, NULL}, reading->reader,
                                   state->export.id, window->spec.key, window->content.position,
                                   state->export.last_change, true, each_change, &events, error) &&
               error->code == ERROR_NONE &&
               (row_sink_end(&events.frames.frames.sink, text) || out_of_memory(reading));
    *count = events.count;
    catch_up_frames_fini(&events.frames);
    map_fini(&events.is);
    return done;
}
