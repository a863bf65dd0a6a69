/*
 * The offline check of derived views: the rows of each stage against what its definition says of
 * the entities. First that each row is right: its entity has it, and at that sort key. Then that
 * none is missing: every entity of the source that must have a row has one, and there are no more.
 */
#include "database/database.h"
#include "derive/derive_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { FINDINGS_OF_A_STAGE = 20 };

struct view_check {
    struct store_reader *reader;
    void (*found)(void *argument, const char *line);
    void *argument;
    const struct view_stage *stage;
    int64_t id;
    int64_t now; /* as of when derived rows are right */
    int64_t rows, expected;
    int findings; /* of this stage */
    struct buffer sort_key;
    struct error error;
};

static void report(struct view_check *check, struct span key, const char *what)
{
    char line[512];
    if (check->findings++ >= FINDINGS_OF_A_STAGE)
        return;
    snprintf(line, sizeof line, "stage %lld, entity '%.*s': %s", (long long)check->id,
             key.length > 200 ? 200 : (int)key.length, key.data, what);
    check->found(check->argument, line);
}

static bool make_sort_key(struct view_check *check, const struct store_entity *entity)
{
    buffer_clear(&check->sort_key);
    return view_stage_sort_key(check->stage, entity->key, entity->data, entity->seq,
                               &check->sort_key) ||
           error_set(&check->error, ERROR_MEMORY, "out of memory while checking");
}

/* A recheck of the present second may not have been taken yet: then both are right. */
static bool may_be_behind(const struct view_check *check, struct span data)
{
    return check->stage->timed &&
           view_stage_rechecks(check->stage, data, check->now - 1) == check->now;
}

static bool check_row(void *argument, struct span sort_key, const struct store_entity *entity)
{
    struct view_check *check = argument;
    check->rows++;
    if (!make_sort_key(check, entity))
        return false;
    if (!span_equal(sort_key, buffer_span(&check->sort_key)))
        report(check, entity->key, "has a row at a place that is not its own");
    else if (!view_stage_holds(check->stage, entity->data, check->now) &&
             !may_be_behind(check, entity->data))
        report(check, entity->key, "has a row, but the filter does not hold for it");
    return true;
}

static bool check_entity(void *argument, const struct store_entity *entity)
{
    struct view_check *check = argument;
    bool behind = may_be_behind(check, entity->data);
    bool holds = view_stage_holds(check->stage, entity->data, check->now);
    int64_t found = 0;
    if (!holds && !behind)
        return true;
    if (!make_sort_key(check, entity) ||
        !store_read_row(check->reader, check->id, buffer_span(&check->sort_key), &found,
                        &check->error))
        return false;
    if (!found && !behind)
        report(check, entity->key, "has no row, but the filter holds for it");
    check->expected += found != 0;
    return true;
}

static bool check_source_row(void *argument, struct span sort_key,
                             const struct store_entity *entity)
{
    (void)sort_key;
    return check_entity(argument, entity);
}

static bool read_id(struct view_check *check, const struct view_stage *stage, int64_t *id,
                    bool *found)
{
    int64_t built;
    return store_read_stage(check->reader, span_of(stage->definition), id, &built, found,
                            &check->error);
}

/* Every entity of the source. */
static bool check_source(struct view_check *check)
{
    const struct view_stage *source = check->stage->source;
    struct store_export export;
    int64_t id;
    bool found;
    if (!source)
        return store_read_export(check->reader, span_of(check->stage->export_name), &export, &found,
                                 &check->error) &&
               (!found || store_scan_keys(check->reader, export.id, span_make(NULL, 0), -1,
                                          check_entity, check, &check->error));
    const struct view_cut *cut = &source->cut;
    return read_id(check, source, &id, &found) &&
           (!found || store_scan_stage(check->reader, id, span_make(NULL, 0),
                                       cut->last ? 0 : cut->skip, cut->last ? 1 : cut->take,
                                       cut->last, true, check_source_row, check, &check->error));
}

/* Stages that differ in their cut alone have the same rows. */
static bool was_checked(const struct view_set *views, size_t index)
{
    const char *definition = view_set_stage_at(views, index)->definition;
    for (size_t i = 0; i < index; i++)
        if (strcmp(view_set_stage_at(views, i)->definition, definition) == 0)
            return true;
    return false;
}

static bool check_stage(struct view_check *check, const struct view_stage *stage)
{
    bool found;
    char line[160];
    check->stage = stage;
    check->rows = check->expected = check->findings = 0;
    if (!read_id(check, stage, &check->id, &found))
        return false;
    if (!found) {
        snprintf(line, sizeof line,
                 "a view over %.64s is not built: no server has run with this configuration",
                 stage->export_name);
        check->found(check->argument, line);
        return true;
    }
    if (!store_scan_stage(check->reader, check->id, span_make(NULL, 0), 0, -1, false, true,
                          check_row, check, &check->error) ||
        check->error.code != ERROR_NONE || !check_source(check) || check->error.code != ERROR_NONE)
        return false;
    if (check->findings == 0 && check->rows != check->expected) {
        snprintf(line, sizeof line, "stage %lld has %lld rows, of which %lld are of its source",
                 (long long)check->id, (long long)check->rows, (long long)check->expected);
        check->found(check->argument, line);
    }
    return true;
}

static bool read_now(struct view_check *check)
{
    struct buffer value;
    bool found;
    buffer_init(&value, 64);
    bool done = store_read_meta(check->reader, DERIVED_NOW_NAME, &value, &found, &check->error);
    const char *text = done && found ? buffer_string(&value) : NULL;
    check->now = text ? strtoll(text, NULL, 10) : 0;
    int64_t ahead = check->now - clock_wall_ms() / 1000;
    if (ahead > CLOCK_APART_MS / 1000) {
        char line[160];
        snprintf(line, sizeof line,
                 "views with now() show a time that is %lld seconds ahead of this machine's clock: "
                 "a server with the right clock brings them back",
                 (long long)ahead);
        check->found(check->argument, line);
    }
    buffer_fini(&value);
    return done;
}

static bool check_reader(struct view_check *check, const struct view_set *views)
{
    const struct view_stage *stage;
    if (!store_read_begin(check->reader, &check->error))
        return false;
    bool done = read_now(check);
    for (size_t i = 0; done && (stage = view_set_stage_at(views, i)); i++)
        done = was_checked(views, i) || check_stage(check, stage);
    done =
        done && check_sql_views(check->reader, views, check->found, check->argument, &check->error);
    store_read_end(check->reader);
    return done;
}

bool derive_check(const char *path, const struct view_set *views,
                  void (*found)(void *argument, const char *line), void *argument,
                  struct error *error)
{
    struct database_options options = {.path = path, .read_only = true};
    struct database *database = database_open(&options, error);
    if (!database)
        return false;
    struct view_check check = {.found = found, .argument = argument};
    buffer_init(&check.sort_key, SIZE_MAX / 2);
    check.reader = store_reader_open(database, &check.error);
    bool done = check.reader && check_reader(&check, views);
    buffer_fini(&check.sort_key);
    store_reader_close(check.reader);
    database_close(database);
    if (!done && error)
        *error = check.error;
    return done;
}
