/*
 * The offline check: the store's own, then every entity against the merge of its log, as far as
 * the log reaches back: from the newest creation, replacement or deletion of its key that is kept.
 *
 * A large log is walked several times, each time for a part of the keys, so that memory stays
 * bounded by the part and not by the database.
 */
#include "database/database.h"
#include "engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_PER_PASS = 400 * 1000, CHECK_DEPTH = 1024, CHECK_FINDINGS = 1000 };

/* The state of one key by the log. */
struct replayed {
    bool known;        /* the log reaches back to where the entity began or was deleted */
    struct text *data; /* NULL: deleted */
    int64_t change;    /* its newest */
    struct seq seq;
    uint32_t export_id;
    size_t key_length;
    char key[]; /* four bytes of export id, then the key */
};

struct check {
    struct store_reader *reader;
    void (*found)(void *argument, const char *line);
    void *argument;
    struct map map;
    struct doc doc;
    struct buffer merged;
    uint64_t pass, passes;
    struct array_lengths array_lengths;
    uint32_t *lengths; /* by export.id - 1 */
    size_t length_count, length_capacity;
    size_t findings;
    struct error error;
};

static struct span replayed_key(const void *value)
{
    const struct replayed *replayed = value;
    return span_make(replayed->key, replayed->key_length);
}

static void report(struct check *check, const struct replayed *entity, const char *what)
{
    char line[512];
    size_t key_length = entity->key_length - sizeof entity->export_id;
    snprintf(line, sizeof line, "entity '%.*s' of export %u: %.200s",
             key_length > 200 ? 200 : (int)key_length, entity->key + sizeof entity->export_id,
             entity->export_id, what);
    if (check->findings++ < CHECK_FINDINGS)
        check->found(check->argument, line);
}

/* ---- replaying the log ---- */

static struct replayed *replayed_get(struct check *check, const struct store_change *change,
                                     struct span key)
{
    struct replayed *entity = map_get(&check->map, key);
    if (entity)
        return entity;
    entity = memory_alloc(sizeof *entity + key.length);
    if (!entity)
        return NULL;
    *entity = (struct replayed){.export_id = change->export_id, .key_length = key.length};
    memcpy(entity->key, key.data, key.length);
    if (map_add(&check->map, entity))
        return entity;
    memory_free(entity);
    return NULL;
}

static void replayed_set(struct replayed *entity, struct text *data)
{
    text_unref(entity->data);
    entity->data = data;
}

/* The paths of the log's {"path":length, …}. */
static struct merge_append *read_appends(struct check *check, struct span text, size_t *count)
{
    uint32_t root = DOC_NONE;
    *count = 0;
    if (text.data && !doc_parse(&check->doc, text, 2, &root, &check->error))
        return NULL;
    uint32_t paths = root == DOC_NONE ? 0 : check->doc.nodes[root].count;
    struct merge_append *appends = memory_new((paths + 1) * sizeof *appends);
    if (!appends)
        return NULL;
    uint32_t node = paths ? doc_first(&check->doc, root) : DOC_NONE;
    for (; *count < paths; node = check->doc.nodes[node].end)
        appends[(*count)++].path = doc_key(&check->doc, node);
    return appends;
}

static uint32_t max_array_of(const struct check *check, uint32_t export_id)
{
    return export_id && export_id <= check->length_count ? check->lengths[export_id - 1]
                                                         : check->array_lengths.common;
}

static bool replay_merge(struct check *check, struct replayed *entity,
                         const struct store_change *change)
{
    char seq[SEQ_SIZE];
    uint32_t patch;
    size_t count;
    bool fresh = change->operation != ROW_PATCH;
    doc_clear(&check->doc);
    buffer_clear(&check->merged);
    if (!doc_parse(&check->doc, change->patch, CHECK_DEPTH, &patch, &check->error)) {
        report(check, entity, check->error.message);
        check->error.code = ERROR_NONE;
        entity->known = false;
        return true;
    }
    struct merge_append *appends = read_appends(check, change->append, &count);
    if (!appends)
        return error_set(&check->error, ERROR_MEMORY, "out of memory while checking");
    size_t length = seq_print(seq, change->seq);
    bool done =
        merge_object(&check->merged, fresh ? span_make(NULL, 0) : text_span(entity->data),
                     &check->doc, patch, appends, count, max_array_of(check, change->export_id),
                     span_make(seq, length), &check->error);
    memory_free(appends);
    struct text *data = done ? text_new(check->merged.data, check->merged.length) : NULL;
    if (!data)
        return error_set(&check->error, ERROR_MEMORY, "out of memory while checking");
    replayed_set(entity, data);
    return true;
}

static bool replay(void *argument, const struct store_change *change,
                   const struct store_entity *unused)
{
    (void)unused;
    struct check *check = argument;
    struct buffer key;
    buffer_init(&key, SIZE_MAX / 2);
    buffer_add(&key, &change->export_id, sizeof change->export_id);
    buffer_add_span(&key, change->key);
    bool mine = !key.failed && map_hash(buffer_span(&key)) % check->passes == check->pass;
    struct replayed *entity = mine ? replayed_get(check, change, buffer_span(&key)) : NULL;
    bool failed = key.failed || (mine && !entity);
    buffer_fini(&key);
    if (failed)
        return error_set(&check->error, ERROR_MEMORY, "out of memory while checking");
    if (!entity)
        return true;
    entity->change = change->id;
    entity->seq = change->seq;
    if (row_is_gone(change->operation)) {
        entity->known = true;
        replayed_set(entity, NULL);
        return true;
    }
    if (change->operation != ROW_PATCH)
        entity->known = true;
    return !entity->known || replay_merge(check, entity, change);
}

/* ---- comparing ---- */

static bool compare(struct check *check, const struct replayed *expected)
{
    struct store_entity entity;
    bool found;
    struct span key = span_make(expected->key + sizeof expected->export_id,
                                expected->key_length - sizeof expected->export_id);
    if (!store_read_entity(check->reader, expected->export_id, key, &entity, &found, &check->error))
        return false;
    if (found && entity.change != expected->change)
        report(check, expected, "its last change is not the newest in the log");
    if (found && seq_compare(entity.seq, expected->seq) != 0)
        report(check, expected, "its seq is not that of its newest change in the log");
    if (!expected->known)
        return true;
    if (found && !expected->data)
        report(check, expected, "is there, but the log says that it was deleted");
    else if (!found && expected->data)
        report(check, expected, "is missing, but the log says that it is there");
    else if (found && !span_equal(entity.data, text_span(expected->data)))
        report(check, expected, "differs from the merge of its log");
    return true;
}

static bool compare_all(struct check *check)
{
    size_t position = 0;
    struct replayed *entity;
    while ((entity = map_next(&check->map, &position)))
        if (!compare(check, entity))
            return false;
    return true;
}

static void forget_all(struct check *check)
{
    size_t position = 0;
    struct replayed *entity;
    while ((entity = map_next(&check->map, &position))) {
        map_remove(&check->map, replayed_key(entity));
        replayed_set(entity, NULL);
        memory_free(entity);
    }
}

/* Lengths by export.id, which has no holes. */
static bool note_length(void *argument, const struct store_export *export)
{
    struct check *check = argument;
    if (!array_reserve((void **)&check->lengths, check->length_count, &check->length_capacity,
                       sizeof *check->lengths))
        return false;
    check->lengths[check->length_count++] = array_length_of(&check->array_lengths, export->name);
    return true;
}

static bool read_array_lengths(struct check *check)
{
    if (!array_lengths_read(&check->array_lengths, check->reader, &check->error) ||
        !store_read_exports(check->reader, note_length, check, &check->error))
        return false;
    return true;
}

static bool check_log(struct check *check)
{
    struct store_log_state log;
    if (!store_read_log(check->reader, &log, &check->error) || !read_array_lengths(check))
        return false;
    /* Arrays were cut to another length before the cursor floor. */
    int64_t from = log.floor_change > log.cursor_floor ? log.floor_change : log.cursor_floor;
    bool done = true;
    check->passes = (uint64_t)(log.rows / ROWS_PER_PASS) + 1;
    for (check->pass = 0; done && check->pass < check->passes; check->pass++) {
        done = store_scan_changes(check->reader, 0, span_make(NULL, 0), from, log.last_change, -1,
                                  false, replay, check, &check->error) &&
               check->error.code == ERROR_NONE && compare_all(check);
        forget_all(check);
    }
    return done;
}

static bool check_reader(struct check *check)
{
    if (!store_check(check->reader, check->found, check->argument, &check->error) ||
        !store_read_begin(check->reader, &check->error))
        return false;
    bool done = check_log(check);
    store_read_end(check->reader);
    if (check->findings > CHECK_FINDINGS)
        check->found(check->argument, "more findings of this kind are not listed");
    return done;
}

bool engine_check(const char *path, void (*found)(void *argument, const char *line), void *argument,
                  struct error *error)
{
    struct database_options options = {.path = path, .read_only = true};
    struct database *database = database_open(&options, error);
    if (!database)
        return false;
    struct check check = {.found = found, .argument = argument};
    map_init(&check.map, replayed_key);
    doc_init(&check.doc, UINT32_MAX, UINT32_MAX);
    buffer_init(&check.merged, UINT32_MAX);
    check.reader = store_reader_open(database, &check.error);
    bool done = check.reader && check_reader(&check);
    forget_all(&check);
    map_fini(&check.map);
    doc_fini(&check.doc);
    buffer_fini(&check.merged);
    array_lengths_fini(&check.array_lengths);
    memory_free(check.lengths);
    if (check.reader)
        store_reader_close(check.reader);
    database_close(database);
    if (!done && error)
        *error = check.error;
    return done;
}
