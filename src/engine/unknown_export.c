/* Mutations for exports that the configuration does not show: ignored or refused, never in silence.
 */
#include "engine/engine_internal.h"

#include <stdio.h>

/* Exports are configured, else there would be no unknown one: name the first few. */
static void print_known(struct writer *writer, struct buffer *out)
{
    enum { SHOWN = 5 };
    size_t position = 0, count = 0;
    const struct export_state *export;
    while ((export = map_next(&writer->exports, &position)) && count++ < SHOWN) {
        buffer_add_string(out, out->length ? ", " : "");
        buffer_add_span(out, export->name);
    }
    if (writer->exports.count > SHOWN)
        buffer_add_string(out, ", …");
}

enum { NAME_SIZE = 129 };

/* The configured name that is meant; "" for none. */
static void find_nearest(struct writer *writer, struct span name, char meant[NAME_SIZE])
{
    char given[NAME_SIZE], known[NAME_SIZE];
    struct nearest nearest = {.given = given};
    size_t position = 0;
    const struct export_state *export;
    *meant = '\0';
    if (name.length >= sizeof given)
        return;
    snprintf(given, sizeof given, "%.*s", (int)name.length, name.data);
    while ((export = map_next(&writer->exports, &position))) {
        const char *before = nearest.name;
        snprintf(known, sizeof known, "%.*s", (int)export->name.length, export->name.data);
        size_t distance = nearest.distance;
        nearest_offer(&nearest, known);
        /* `known` is overwritten: what counts is whether it was taken. */
        if (nearest.name != before || nearest.distance != distance)
            snprintf(meant, NAME_SIZE, "%s", known);
    }
}

static bool refuse(struct writer *writer, struct span name, struct error *error)
{
    struct buffer known;
    char meant[NAME_SIZE];
    buffer_init(&known, 256);
    print_known(writer, &known);
    find_nearest(writer, name, meant);
    struct span text = buffer_span(&known);
    error_set(error, ERROR_UNKNOWN_EXPORT,
              "export '%.*s' is not configured%s%s%s (there are: %.*s): correct the name, or add "
              "it to `exports` and restart",
              (int)name.length, name.data, *meant ? "; did you mean '" : "", meant,
              *meant ? "'?" : "", (int)text.length, text.data);
    buffer_fini(&known);
    return false;
}

/* A log without memory for the names would repeat itself for ever. */
static void tell_log(struct writer *writer, struct span name)
{
    for (size_t i = 0; i < writer->told.unknown_count; i++)
        if (span_equal(span_of(writer->told.unknown_exports[i]), name))
            return;
    if (writer->told.unknown_count == UNKNOWN_EXPORTS_TOLD)
        return;
    char *copy = memory_copy_string(name.data, name.length);
    if (!copy)
        return;
    writer->told.unknown_exports[writer->told.unknown_count++] = copy;
    log_warning("engine", "unknown-export", log_text("export", copy),
                log_word("mutations",
                         writer->engine->options.refuse_unknown_exports ? "refused" : "ignored"),
                log_number("told", writer->told.unknown_count),
                log_number("most", UNKNOWN_EXPORTS_TOLD),
                log_text("remedy", "add it to exports, or correct the producer"));
}

static void note(struct submission *submission, struct span name)
{
    for (size_t i = 0; i < submission->unknown_count; i++)
        if (span_equal(submission->unknown_exports[i], name))
            return;
    if (submission->unknown_count < SUBMISSION_UNKNOWN)
        submission->unknown_exports[submission->unknown_count++] = name;
}

bool writer_note_unknown(struct writer *writer, struct submission *submission, struct span name,
                         struct error *error)
{
    tell_log(writer, name);
    if (writer->engine->options.refuse_unknown_exports)
        return refuse(writer, name, error);
    note(submission, name);
    submission->ignored++;
    return true;
}
