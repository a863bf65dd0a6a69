/*
 * max_array_length, the engine's and that of single exports: immutable while the engine is open.
 * The database keeps the former value. So cursors from before another value are refused, and a
 * check knows how the log was merged.
 */
#include "engine/array_length.h"

#include <stdio.h>
#include <stdlib.h>

/* In `meta`: the engine's in digits; and a line for each export with its own: "<length> <name>". */
static const char common_name[] = "max_array_length";
static const char own_name[] = "array_lengths";

static struct span own_key(const void *value)
{
    const struct own_array_length *own = value;
    return span_make(own->name, own->name_length);
}

static bool add(struct array_lengths *lengths, struct span name, uint32_t length)
{
    struct own_array_length *own = memory_alloc(sizeof *own + name.length);
    if (!own)
        return false;
    *own = (struct own_array_length){.length = length, .name_length = name.length};
    memcpy(own->name, name.data, name.length);
    if (map_add(&lengths->own, own))
        return true;
    memory_free(own);
    return false;
}

static void init(struct array_lengths *lengths)
{
    *lengths = (struct array_lengths){.common = 0};
    map_init(&lengths->own, own_key);
}

void array_lengths_fini(struct array_lengths *lengths)
{
    size_t position = 0;
    struct own_array_length *own;
    while ((own = map_next(&lengths->own, &position)))
        memory_free(own);
    map_fini(&lengths->own);
}

bool array_lengths_take(struct array_lengths *lengths, const struct engine_options *options,
                        struct error *error)
{
    init(lengths);
    lengths->common = options->max_array_length;
    for (size_t i = 0; i < options->export_count; i++) {
        const struct engine_export_options *export = &options->exports[i];
        if (export->own_array_length && !add(lengths, export->name, export->max_array_length))
            return error_set(error, ERROR_MEMORY, "out of memory while starting");
    }
    return true;
}

uint32_t array_length_of(const struct array_lengths *lengths, struct span export_name)
{
    const struct own_array_length *own = map_get(&lengths->own, export_name);
    return own ? own->length : lengths->common;
}

/* ---- in the database ---- */

/* In the order of the configuration; a map has none. */
static bool print_own(struct buffer *out, const struct engine_options *options)
{
    for (size_t i = 0; i < options->export_count; i++)
        if (options->exports[i].own_array_length)
            buffer_printf(out, "%u %.*s\n", options->exports[i].max_array_length,
                          (int)options->exports[i].name.length, options->exports[i].name.data);
    return !out->failed;
}

/* *other: it was another before. */
static bool note(struct store_writer *store, const char *name, struct span now, bool *other,
                 struct error *error)
{
    struct buffer before;
    bool found;
    buffer_init(&before, SIZE_MAX / 2);
    bool done = store_read_meta(store_writer_reader(store), name, &before, &found, error);
    bool same = done && span_equal(buffer_span(&before), now);
    if (done && !same)
        done = store_meta_put(store, name, now, error);
    *other = *other || (!same && (found || name == own_name));
    buffer_fini(&before);
    return done;
}

bool array_lengths_note(struct store_writer *store, const struct engine_options *options,
                        struct error *error)
{
    char common[16];
    struct buffer own;
    bool other = false;
    snprintf(common, sizeof common, "%u", options->max_array_length);
    buffer_init(&own, SIZE_MAX / 2);
    bool done = print_own(&own, options) ||
                error_set(error, ERROR_MEMORY, "out of memory while reading max_array_length");
    done = done && note(store, common_name, span_of(common), &other, error) &&
           note(store, own_name, own.length ? buffer_span(&own) : span_of(""), &other, error) &&
           (!other || store_writer_refuse_cursors(store, error));
    buffer_fini(&own);
    return done;
}

static bool read_own(struct array_lengths *lengths, struct span text)
{
    const char *at = text.data, *end = text.data + text.length;
    while (at < end) {
        char *space;
        unsigned long length = strtoul(at, &space, 10);
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline || *space != ' ' ||
            !add(lengths, span_make(space + 1, (size_t)(newline - space - 1)), (uint32_t)length))
            return false;
        at = newline + 1;
    }
    return true;
}

bool array_lengths_read(struct array_lengths *lengths, struct store_reader *reader,
                        struct error *error)
{
    struct buffer value;
    bool found;
    init(lengths);
    buffer_init(&value, SIZE_MAX / 2);
    bool done = store_read_meta(reader, common_name, &value, &found, error);
    const char *text = done && found ? buffer_string(&value) : NULL;
    lengths->common = text ? (uint32_t)strtoul(text, NULL, 10) : 0;
    buffer_clear(&value);
    done = done && store_read_meta(reader, own_name, &value, &found, error);
    if (done && found && value.length)
        done = read_own(lengths, buffer_span(&value)) ||
               error_set(error, ERROR_DATABASE, "meta: %s cannot be read", own_name);
    buffer_fini(&value);
    return done;
}
