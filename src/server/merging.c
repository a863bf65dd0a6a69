/*
 * The settings that decide what a change in the log does to an entity, as one digest: a replica
 * makes the changes of its source again, so it must have the same (docs/cluster.md).
 */
#include "auth/auth.h"
#include "delivery/hub.h"
#include "server/server_internal.h"

enum { DIGEST = 32, SETTINGS_BYTES = 64 * 1024 * 1024 };

static void print_export(struct buffer *out, const struct view_export *shown,
                         const struct config *config)
{
    doc_escape(out, span_of(shown->name));
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        if (strcmp(export->name, shown->name) == 0)
            buffer_printf(out, " %lld %d", (long long)export->max_array_length,
                          export->null_removes);
    }
    buffer_printf(out, " %s\n", shown->scope ? view_scope_text(shown->scope) : "");
}

/* Each export by itself, so that their order in a file decides nothing. */
static bool add_export(unsigned char sum[DIGEST], const struct view_export *shown,
                       const struct config *config)
{
    unsigned char digest[DIGEST];
    struct buffer text;
    buffer_init(&text, SETTINGS_BYTES);
    print_export(&text, shown, config);
    bool done = !text.failed && auth_digest(buffer_span(&text), digest);
    for (size_t i = 0; done && i < DIGEST; i++)
        sum[i] ^= digest[i];
    buffer_fini(&text);
    return done;
}

bool server_find_merging(struct server *server, const struct config *config, struct error *error)
{
    const struct view_set *views = hub_state(server->frontend.hub).views;
    unsigned char sum[DIGEST] = {0}, digest[DIGEST];
    const struct view_export *export;
    struct buffer text;
    bool done = true;
    buffer_init(&text, 1024);
    for (size_t i = 0; done && (export = view_set_export_at(views, i)); i++)
        done = add_export(sum, export, config);
    buffer_printf(&text, "1 %d %lld ", view_set_is_open(views),
                  (long long)config->max_array_length);
    buffer_add(&text, (const char *)sum, sizeof sum);
    done = done && !text.failed && auth_digest(buffer_span(&text), digest);
    buffer_fini(&text);
    for (size_t i = 0; done && i < sizeof server->merging / 2; i++)
        snprintf(server->merging + 2 * i, 3, "%02x", digest[i]);
    return done || error_set(error, ERROR_MEMORY, "out of memory while starting");
}
