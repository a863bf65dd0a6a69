/* Spans of window refreshes. */
#include "window/reading.h"

void window_trace_asked(struct window_refresh *refresh)
{
    refresh->traced.asked_us = clock_monotonic_us();
    if (refresh->count == 1)
        refresh->traced.view = view_ref(refresh->results[0].window->spec.view);
}

static enum error_code error_of(const struct window_refresh *refresh)
{
    enum error_code code = refresh->error.code;
    for (size_t i = 0; code == ERROR_NONE && i < refresh->count; i++)
        code = refresh->results[i].error.code;
    return code;
}

void window_trace_record(const struct window_refresh *refresh)
{
    struct trace_span spans[] = {
        {.name = "window refresh",
         .kind = TRACE_INTERNAL,
         .begun_us = refresh->traced.asked_us,
         .ended_us = clock_monotonic_us(),
         .attributes = {{.name = "stele.windows", .number = (int64_t)refresh->count}}},
        {.name = "read",
         .kind = TRACE_INTERNAL,
         .begun_us = refresh->traced.reading_us,
         .ended_us = refresh->traced.read_us}};
    enum error_code code = error_of(refresh);
    if (refresh->traced.view)
        trace_span_text(&spans[0], "stele.view", span_of(refresh->traced.view->id));
    if (code != ERROR_NONE) {
        spans[0].failed = true;
        spans[0].attributes[1] =
            (struct trace_attribute){.name = "error.type", .text = error_kind(code)->wire};
    }
    trace_record(refresh->hub->options.tracer, &refresh->trace, spans,
                 refresh->traced.read_us ? 2 : 1);
}
