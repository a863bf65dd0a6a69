/*
 * The settings that decide what a change in the log does to an entity, as one digest: a replica
 * makes the changes of its source again, so it must have the same (docs/cluster.md). A node of a
 * log, whose messages are not changes yet, has more of them: log.c.
 */
#include "auth/auth.h"
#include "delivery/hub.h"
#include "server/server_internal.h"

#include <stdlib.h>

enum { DIGEST = 32, SETTINGS_BYTES = 64 * 1024 * 1024 };

static int compare_names(const void *a, const void *b)
{
    const struct view_export *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void print_export(struct buffer *out, const struct view_export *shown,
                         const struct config *config, bool evictions)
{
    doc_escape(out, span_of(shown->name));
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        if (strcmp(export->name, shown->name) != 0)
            continue;
        if (evictions)
            buffer_printf(out, " %lld", (long long)export->max_entities);
        buffer_printf(out, " %lld %d", (long long)export->max_array_length, export->null_removes);
    }
    buffer_printf(out, " %s\n", shown->scope ? view_scope_text(shown->scope) : "");
}

/* By name: their order in a file decides nothing. */
bool server_print_exports(struct buffer *out, const struct view_set *views,
                          const struct config *config, bool evictions)
{
    size_t count = 0;
    while (view_set_export_at(views, count))
        count++;
    const struct view_export **exports = memory_new((count + 1) * sizeof *exports);
    if (!exports)
        return false;
    for (size_t i = 0; i < count; i++)
        exports[i] = view_set_export_at(views, i);
    qsort(exports, count, sizeof *exports, compare_names);
    for (size_t i = 0; i < count; i++)
        print_export(out, exports[i], config, evictions);
    memory_free(exports);
    return true;
}

bool server_digest(const struct buffer *text, char hex[33])
{
    unsigned char digest[DIGEST];
    if (text->failed || !auth_digest(buffer_span(text), digest))
        return false;
    for (size_t i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return true;
}

bool server_find_merging(struct server *server, const struct config *config, struct error *error)
{
    const struct view_set *views = hub_state(server->frontend.hub).views;
    struct buffer text;
    buffer_init(&text, SETTINGS_BYTES);
    buffer_printf(&text, "2 %d %lld\n", view_set_is_open(views),
                  (long long)config->max_array_length);
    bool done =
        server_print_exports(&text, views, config, false) && server_digest(&text, server->merging);
    buffer_fini(&text);
    return done || error_set(error, ERROR_MEMORY, "out of memory while starting");
}
