/*
 * Catch-up of a member without the log: the rows of its window that changed behind a given change.
 */
#include "window/reading.h"

static bool lacks_memory(struct window_reading *reading)
{
    return error_set(&reading->result->error, ERROR_MEMORY, "out of memory while showing a window");
}

bool window_encode_changed(struct window_reading *reading, struct window_request *request)
{
    const struct window_rows *rows = &reading->window->content.rows;
    struct row_frames frames;
    struct map by_key;
    window_frames_init(&frames, reading);
    bool done = window_index_rows(reading->window, &by_key) || lacks_memory(reading);
    done = done && window_each_previous(reading, request, &by_key, true, &frames.sink);
    map_fini(&by_key);
    for (size_t i = 0; done && i < rows->count; i++) {
        struct span key = window_row_key(rows->list[i]);
        if (rows->list[i]->change > request->from)
            done = window_put_row(reading, key, &frames.sink);
    }
    done = done && (row_sink_end(&frames.sink, &request->text) || lacks_memory(reading));
    row_frames_fini(&frames);
    return done;
}
