/*
 * outside: a view in which every mutation moves a row, but never one of the first hundred, and
 * subscribers of a window of just these. Nothing may be sent to them, and a mutation must cost the
 * same however many they are.
 *
 * The view is sorted by seq, the oldest change first. The oldest entities are never fed again; each
 * mutation of another one moves it to the end.
 */
#include "bench/watching.h"

enum { CALM = 500 }; /* entities that are left alone */

static const char calm_config[] =
    "{\"exports\":{\"Item\":{\"views\":{\"calm\":{\"pipeline\":[{\"sort\":\"_seq\"}]}}}}}";

static bool measure(struct bench *bench, uint64_t keys, size_t members, struct error *error)
{
    char key_text[32], member_text[32];
    struct audience audience = {.count = 0};
    struct report_case name =
        report_case("outside", "%s rows, %s subscribers", number_text((double)keys, key_text),
                    number_text((double)members, member_text));
    bool done = !members || watching_settle(bench, &audience, "calm", members, 1, error);
    uint64_t frames = audience.frames;
    done = done && watching_feed(bench, &name, CALM, keys - CALM, &audience, error);
    if (done && audience.frames != frames)
        done = error_set(error, ERROR_INTERNAL, "%llu frames came to a window that nothing touches",
                         (unsigned long long)(audience.frames - frames));
    audience_close(&audience);
    return done;
}

static bool measure_all(struct bench *bench, uint64_t keys, struct error *error)
{
    const struct number_list *members = &bench->options->window_members;
    bool done = measure(bench, keys, 0, error);
    for (size_t i = 0; done && i < members->count; i++)
        done = measure(bench, keys, (size_t)members->values[i], error);
    return done;
}

/* More entities are loaded over those that are there, all of them anew. */
static bool run(struct bench *bench, struct error *error)
{
    const struct number_list *keys = &bench->options->window_keys;
    struct bench_load load;
    server_set(&bench->server, "max_connections=20000");
    if (!server_configure(&bench->server, calm_config, error))
        return false;
    for (size_t k = 0; k < keys->count; k++) {
        bool done =
            server_start(&bench->server, error) && bench_load(bench, keys->values[k], &load, error);
        for (uint64_t round = 0; done && round < bench->options->rounds; round++)
            done = measure_all(bench, keys->values[k], error);
        if (!done || !server_stop(&bench->server, error))
            return false;
    }
    return true;
}

const struct scenario scenario_outside = {
    "outside", "feeding while a window of a sorted view is watched that it never touches", run};
