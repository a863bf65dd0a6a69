/*
 * Entities that the open transaction looks at: from the cache, else from the store. Reading and
 * merging large ones is counted, and bounded, for each submission.
 */
#include "engine/engine_internal.h"

/* Small ones are not counted: their changes are, which carry them. */
static size_t counted(size_t bytes)
{
    return bytes > KEPT_ENTITY ? bytes : 0;
}

void writer_note_merged(struct writer *writer, size_t bytes)
{
    writer->applying.merged += counted(bytes);
    writer->applying.decided += counted(bytes);
}

/* Whether it was read just now depends on what was in memory; that it is kept until the end of the
 * submission does not. */
void writer_note_touched(struct writer *writer, const struct entity *entity)
{
    if (entity->data)
        writer->applying.decided += counted(entity->data->length);
}

static struct entity *cache_row(struct writer *writer, struct export_state *export,
                                const struct store_entity *row, struct error *error)
{
    struct text *data = text_new(row->data.data, row->data.length);
    writer->applying.merged += counted(row->data.length);
    struct entity *entity = data ? entity_cache_add(&writer->cache, export, row->key) : NULL;
    if (!entity) {
        text_unref(data);
        error_set(error, ERROR_MEMORY, "out of memory while reading an entity");
        return NULL;
    }
    entity_cache_set_data(&writer->cache, entity, data);
    entity->id = row->id;
    entity->change = row->change;
    entity->seq = row->seq;
    entity->stored = true;
    return entity;
}

struct entity *writer_entity(struct writer *writer, struct export_state *export, struct span key,
                             struct error *error)
{
    struct entity *entity;
    if (!entity_cache_find(&writer->cache, export, key, &entity)) {
        error_set(error, ERROR_MEMORY, "out of memory while looking for an entity");
        return NULL;
    }
    if (entity) {
        counter_add(&writer->engine->metrics.cache_hits, 1);
        return entity;
    }
    counter_add(&writer->engine->metrics.cache_misses, 1);
    struct store_entity row;
    bool found;
    if (!store_read_entity(store_writer_reader(writer->store), export->id, key, &row, &found,
                           error))
        return NULL;
    if (found)
        return cache_row(writer, export, &row, error);
    entity = entity_cache_add(&writer->cache, export, key);
    if (!entity)
        error_set(error, ERROR_MEMORY, "out of memory while reading an entity");
    return entity;
}

bool writer_entity_unchanged(struct writer *writer, struct export_state *export, int64_t id,
                             int64_t change, struct entity **entity, struct error *error)
{
    struct store_entity row;
    bool found;
    *entity = NULL;
    if (!store_read_entity_by_id(store_writer_reader(writer->store), 0, id, &row, &found, error))
        return false;
    /* A number may be another entity's by now, a change never. */
    if (!found || row.change != change)
        return true;
    if (!entity_cache_find(&writer->cache, export, row.key, entity))
        return error_set(error, ERROR_MEMORY, "out of memory while looking for an entity");
    if (!*entity)
        return (*entity = cache_row(writer, export, &row, error)) != NULL;
    if (!(*entity)->data || (*entity)->change != change)
        *entity = NULL;
    return true;
}
