/*
 * Exports as the writer knows them. One that is fed for the first time is known at once, and stored
 * when the submission that feeds it was accepted.
 */
#include "engine/engine_internal.h"

static struct export_state *export_new(const struct writer *writer, struct span name, uint32_t id)
{
    struct export_state *export = memory_alloc(sizeof *export + name.length);
    if (!export)
        return NULL;
    char *copy = (char *)(export + 1);
    memcpy(copy, name.data, name.length);
    *export =
        (struct export_state){.id = id,
                              .max_array = array_length_of(&writer->engine->array_lengths, name),
                              .name = span_make(copy, name.length)};
    return export;
}

void export_free(struct export_state *export)
{
    if (!export)
        return;
    INVARIANT(!export->cached); /* else an entity in the cache names it */
    while (export->cut_path_count)
        memory_free(export->cut_paths[--export->cut_path_count]);
    memory_free(export->cut_paths);
    memory_free(export->eviction.recent);
    memory_free(export);
}

struct span export_label(const struct export_state *export, const struct text *data)
{
    return export->scope && data ? view_scope_label(export->scope, text_span(data))
                                 : span_make(NULL, 0);
}

static bool note_new_export(struct writer *writer, const struct export_state *export)
{
    if (!array_reserve((void **)&writer->open.new_exports, writer->open.new_export_count,
                       &writer->open.new_export_capacity, sizeof *writer->open.new_exports))
        return false;
    char *name = memory_copy_string(export->name.data, export->name.length);
    if (!name)
        return false;
    writer->open.new_exports[writer->open.new_export_count++] =
        (struct store_export){.id = export->id, .name = span_make(name, export->name.length)};
    return true;
}

bool writer_export(struct writer *writer, struct span name, struct export_state **export,
                   struct error *error)
{
    const struct engine_options *options = &writer->engine->options;
    *export = map_get(&writer->exports, name);
    if (*export || !options->open_exports)
        return true;
    if (writer->exports.count >= options->max_exports)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "export '%.*s' would be number %zu; raise max_exports or name the exports "
                         "in the configuration",
                         (int)name.length, name.data, writer->exports.count + 1);
    size_t waiting = writer->open.new_export_count - writer->open.new_exports_stored;
    uint32_t id = store_writer_state(writer->store).exports + (uint32_t)waiting + 1;
    *export = export_new(writer, name, id);
    if (!*export || !note_new_export(writer, *export) || !map_add(&writer->exports, *export)) {
        memory_free(*export);
        *export = NULL;
        return error_set(error, ERROR_MEMORY, "out of memory while adding an export");
    }
    return true;
}

bool writer_store_exports(struct writer *writer, struct error *error)
{
    INVARIANT(writer->open.new_exports_stored <= writer->open.new_export_count);
    while (writer->open.new_exports_stored < writer->open.new_export_count) {
        const struct store_export *row = &writer->open.new_exports[writer->open.new_exports_stored];
        uint32_t id;
        if (!store_export_add(writer->store, row->name, &id, error))
            return false;
        if (id != row->id)
            return error_set(error, ERROR_INTERNAL, "export %u was stored as %u", row->id, id);
        writer->open.new_exports_stored++;
    }
    return true;
}

void writer_forget_exports(struct writer *writer, size_t first)
{
    INVARIANT(first <= writer->open.new_export_count);
    while (writer->open.new_export_count > first) {
        struct span name = writer->open.new_exports[--writer->open.new_export_count].name;
        struct export_state *export = map_remove(&writer->exports, name);
        if (export)
            entity_cache_drop_export(&writer->cache, export);
        export_free(export);
        memory_free((void *)name.data);
    }
    if (writer->open.new_exports_stored > first)
        writer->open.new_exports_stored = first;
}

bool engine_each_export(struct engine *engine,
                        bool (*each)(void *argument, const struct store_export *export),
                        void *argument, struct error *error)
{
    struct store_reader *reader = store_reader_open(engine->facts.database, error);
    if (!reader)
        return false;
    bool done =
        store_read_begin(reader, error) && store_read_exports(reader, each, argument, error);
    store_read_end(reader);
    store_reader_close(reader);
    return done;
}
