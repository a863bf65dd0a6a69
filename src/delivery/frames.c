/* From a change to the bytes that a view's subscribers get. */
#include "delivery/hub_internal.h"
#include "rows/show.h"

/*
 * An append view is a stream of events: a change that made an entity comes as the patch it was.
 * Elsewhere it comes whole, so that it replaces what a client may still hold of a former life of
 * the key.
 */
static enum row_operation operation_for(const struct topic *topic, const struct change *change,
                                        enum key_state state)
{
    if (row_is_gone(change->operation))
        return ROW_DELETE;
    if (change->operation == ROW_CREATE)
        return topic->mode == WIRE_APPEND ? ROW_PATCH : ROW_UPSERT;
    return state == KEY_SENT_WHOLE ? change->operation : ROW_UPSERT;
}

bool frame_change(struct topic *topic, const struct change *change, enum key_state state,
                  struct buffer *out)
{
    char seq[SEQ_SIZE];
    struct wire_change frame = {.encoding = topic->encoding,
                                .change = change->id,
                                .on_tape = topic->mode == WIRE_APPEND,
                                .mode = topic->mode,
                                .view = span_of(topic->view->id),
                                .operation = operation_for(topic, change, state),
                                .key = change_key(change)};
    if (topic->scope) {
        struct sight sight = row_scope_sight(topic->scope, change);
        if (!sight.before && !sight.after)
            return true;
        if (!sight.after) /* deleted or not, which the client must not learn */
            frame.operation = frame.on_tape ? ROW_DELETE : ROW_REMOVE;
    }
    bool leaves = frame.operation == ROW_DELETE || frame.operation == ROW_REMOVE;
    if (leaves && state == KEY_NEVER_SENT)
        return true;
    bool whole = change->operation == ROW_PATCH && frame.operation == ROW_UPSERT;
    if (whole && !change_entity(change).data)
        return false; /* too large to travel with its change: the database has it */
    struct span object = whole ? change_entity(change) : change_patch(change);
    if (!leaves && !frame_show(topic->view, object, &topic->hub->scratch.shown, &frame.data))
        return false;
    if (frame.operation == ROW_PATCH &&
        !frame_show_append(topic->view, change_append(change), &topic->hub->scratch.paths,
                           &frame.append))
        return false;
    frame.seq = frame_seq(seq, (struct seq){change->slot, change->index});
    counter_add(&topic->hub->metrics.frames[topic->mode], 1);
    return wire_change(out, &frame);
}

bool frames_add(struct frame_log *frame_log, int64_t change, struct span frames)
{
    if (frames.length > FRAME_LOG_BLOCK)
        return frame_log_add_alone(frame_log, change, frames);
    struct wire_run run = wire_measure(frames);
    struct frame_counts counts = {(uint32_t)run.messages, (uint32_t)run.payload};
    return frame_log_add(frame_log, change, frames, counts);
}
