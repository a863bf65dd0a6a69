/* What can be told to a member without the log: rows that changed behind a change. */
#include "window/window_internal.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

static bool put_held(void *argument, struct span key)
{
    return window_frames_put(argument, key, span_make(NULL, 0));
}

bool window_encode_changed(struct window_reading *reading, struct window_request *request)
{
    const struct window_rows *rows = &reading->window->content.rows;
    struct window_frames frames;
    struct map by_key;
    window_frames_init(&frames, reading);
    bool done = window_index_rows(reading->window, &by_key) || lacks_memory(reading);
    done = done && window_each_held(reading, request, &by_key, true, put_held, &frames);
    map_fini(&by_key);
    for (size_t i = 0; done && i < rows->count; i++) {
        struct span key = window_row_key(rows->list[i]);
        struct store_entity entity;
        if (rows->list[i]->change > request->from)
            done =
                window_fetch(reading, key, &entity) && window_frames_put(&frames, key, entity.data);
    }
    done = done && window_frames_end(&frames, &request->text);
    window_frames_fini(&frames);
    return done;
}
