/*
 * The texts of a window's rows, as a refresh has read them: it has requests of members, which get
 * some of these rows, or all when their cursors are refused. So none is looked up a second time.
 */
#include "window/reading.h"

enum { MOST_BYTES = 256 * 1024 };

void window_texts_begin(struct window_reading *reading, const struct window_refresh *refresh)
{
    struct link *link;
    for (link = refresh->requests.next; link != &refresh->requests && !reading->texts;
         link = link->next)
        if (LINK_OWNER(struct window_request, in_requests, link)->window == reading->window)
            reading->texts = memory_new(sizeof *reading->texts);
    if (reading->texts)
        buffer_init(&reading->texts->bytes, MOST_BYTES);
}

void window_texts_end(struct window_reading *reading)
{
    if (reading->texts)
        buffer_fini(&reading->texts->bytes);
    memory_free(reading->texts);
}

void window_texts_note(struct window_reading *reading, const struct window_row *row,
                       const struct store_entity *entity)
{
    struct window_texts *texts = reading->texts;
    if (!texts || !entity->data.data || texts->count == WINDOW_TEXTS ||
        entity->data.length > MOST_BYTES - texts->bytes.length)
        return;
    struct window_text *text = &texts->list[texts->count];
    *text = (struct window_text){.entity = *entity, .at = texts->bytes.length};
    text->entity.key = window_row_key(row);
    if (buffer_add_span(&texts->bytes, entity->data))
        texts->count++;
}

/* They are mostly asked for in their order. */
bool window_texts_find(const struct window_reading *reading, struct span key,
                       struct store_entity *entity)
{
    struct window_texts *texts = reading->texts;
    for (size_t i = 0; texts && i < texts->count; i++) {
        size_t at = (texts->next + i) % texts->count;
        const struct window_text *text = &texts->list[at];
        if (!span_equal(text->entity.key, key))
            continue;
        *entity = text->entity;
        entity->data = span_make(texts->bytes.data + text->at, text->entity.data.length);
        texts->next = at + 1;
        return true;
    }
    return false;
}
