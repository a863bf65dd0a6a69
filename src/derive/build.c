/*
 * Building the rows of a stage that is new, before the server is ready: in chunks, each of them a
 * transaction that also notes how far it came, so that a build that was interrupted goes on.
 *
 * Progress is a byte and the key that came last; of a stage over a slice, the sort key there.
 */
#include "derive/derive_internal.h"

enum { TELL_US = 1000 * 1000 };

struct build {
    struct derive *derive;
    struct derived *derived;
    struct buffer progress;
    int64_t seen, rows; /* in this chunk; and in all of this run */
    bool ended;         /* beyond the end of the slice */
    uint64_t told_us;
    struct error *error;
    bool failed;
};

static bool note(struct build *build, struct span position)
{
    buffer_clear(&build->progress);
    buffer_add_char(&build->progress, '+');
    build->seen++;
    build->failed = !buffer_add_span(&build->progress, position);
    if (build->failed)
        error_set(build->error, ERROR_MEMORY, "out of memory while building a view");
    return !build->failed;
}

static bool add_entity(void *argument, const struct store_entity *entity)
{
    struct build *build = argument;
    build->failed = !note(build, entity->key) ||
                    !derive_build_row(build->derive, build->derived, entity, build->error);
    return !build->failed;
}

static bool add_sort_key(void *argument, struct span sort_key, int64_t id)
{
    struct build *build = argument;
    struct store_entity entity;
    bool found = false;
    build->ended = !derive_slice_has(build->derived->source, sort_key);
    if (build->ended)
        return false;
    build->failed =
        !note(build, sort_key) ||
        !store_read_entity_by_id(store_writer_reader(build->derive->context.store), 0, id, &entity,
                                 &found, build->error) ||
        (found && !derive_build_row(build->derive, build->derived, &entity, build->error));
    return !build->failed;
}

/* One more chunk of the source; the position behind the byte is where it goes on. */
static bool read_chunk(struct build *build)
{
    struct store_writer *store = build->derive->context.store;
    const struct derived *derived = build->derived;
    const int64_t chunk = (int64_t)build->derive->context.rows;
    bool begun = build->progress.length > 0;
    struct buffer from;
    bool done;
    build->seen = 0;
    buffer_init(&from, SIZE_MAX / 2);
    if (begun)
        buffer_add(&from, build->progress.data + 1, build->progress.length - 1);
    if (from.failed) {
        done = error_set(build->error, ERROR_MEMORY, "out of memory while building a view");
    } else if (!derived->source) {
        done = store_scan_keys(store_writer_reader(store), derived->export->id,
                               begun ? buffer_span(&from) : span_make(NULL, 0), chunk, add_entity,
                               build, build->error);
    } else if (derived->source->low.end) {
        done = true;
    } else {
        struct span first =
            begun ? buffer_span(&from) : buffer_span(&derived->source->low.sort_key);
        done = store_row_scan(store, derived->source->of->id, first, false, begun, chunk,
                              add_sort_key, build, build->error);
    }
    buffer_fini(&from);
    return done && !build->failed;
}

static void tell(struct build *build)
{
    uint64_t now = clock_monotonic_us();
    const struct derived *derived = build->derived;
    if (now - build->told_us < TELL_US && !derived->built)
        return;
    build->told_us = now;
    log_info(
        "engine", derived->built ? "view-built" : "view-build", log_text("view", derived->view),
        log_number("stage", derived->id), log_number("rows", build->rows),
        log_number(
            "of", store_export_counts(build->derive->context.store, derived->export->id).entities));
}

static bool build_chunk(struct build *build, struct error *error)
{
    struct store_writer *store = build->derive->context.store;
    int64_t stage = build->derived->id;
    /* The checkpointer is at work already: the write-ahead log must not hold the whole build. */
    build->derive->context.pass_gate(build->derive->context.argument);
    if (!store_begin(store, error))
        return false;
    bool done = read_chunk(build);
    bool complete = build->ended || build->seen < (int64_t)build->derive->context.rows;
    done = done &&
           (complete
                ? store_stage_note_built(store, stage, build->derived->export->id, error)
                : store_stage_note_progress(store, stage, buffer_span(&build->progress), error)) &&
           store_commit(store, error);
    if (!done)
        store_rollback(store);
    build->derived->built = done && complete;
    build->rows += build->seen;
    return done;
}

/* The rows built so far are in the database, and the next start goes on there. */
static bool is_given_up(const struct derive *derive, const struct derived *derived,
                        struct error *error)
{
    const atomic_bool *give_up = derive->context.give_up;
    return give_up && atomic_load(give_up) &&
           !error_set(error, ERROR_SHUTTING_DOWN,
                      "stopped while view \"%s\" was built; the next start goes on there",
                      derived->view);
}

bool derive_build(struct derive *derive, struct derived *derived, struct error *error)
{
    struct build build = {
        .derive = derive, .derived = derived, .error = error, .told_us = clock_monotonic_us()};
    buffer_init(&build.progress, SIZE_MAX / 2);
    bool done = store_stage_progress(derive->context.store, derived->id, &build.progress, error);
    while (done && !derived->built) {
        done = !is_given_up(derive, derived, error) && build_chunk(&build, error);
        if (done)
            tell(&build);
    }
    buffer_fini(&build.progress);
    return done;
}
