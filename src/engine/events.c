/* The messages of the engine's threads to the loop. */
#include "engine/engine_internal.h"

void engine_post(struct engine *engine, struct engine_event *event)
{
    INVARIANT(event->deliver);
    event->item.bytes = 0;
    queue_put(&engine->events, &event->item, QUEUE_REFUSES);
}

static void deliver_all(struct queue *queue)
{
    struct queue_item *list = queue_take_all(queue, 0);
    while (list) {
        struct engine_event *event = (struct engine_event *)list;
        list = list->next;
        event->deliver(event);
    }
}

void engine_deliver(struct engine *engine)
{
    deliver_all(&engine->commits);
    deliver_all(&engine->events);
}
