/*
 * Arrays that were cut to max_array_length: counted in the answer, and told in the log, once per
 * export and path. Paths may be made of what producers send, so both are bounded.
 */
#include "engine/engine_internal.h"

enum { TOLD_OF_EXPORT = 16, TOLD = 1000 };

static bool is_told(const struct export_state *export, struct span path)
{
    for (size_t i = 0; i < export->cut_path_count; i++)
        if (span_equal(span_of(export->cut_paths[i]), path))
            return true;
    return export->cut_path_count == TOLD_OF_EXPORT;
}

static bool is_noted(const struct writer *writer, const struct export_state *export,
                     struct span path)
{
    for (size_t i = 0; i < writer->applying.truncation_count; i++)
        if (writer->applying.truncations[i].export == export &&
            span_equal(writer->applying.truncations[i].path, path))
            return true;
    return false;
}

void writer_note_truncation(struct writer *writer, struct submission *submission,
                            struct export_state *export, struct span path)
{
    submission->truncated++;
    if (writer->applying.truncation_count == TRUNCATIONS || writer->told.truncations == TOLD ||
        is_told(export, path) || is_noted(writer, export, path))
        return;
    struct span copy = submission_keep(submission, path);
    if (copy.data)
        writer->applying.truncations[writer->applying.truncation_count++] =
            (struct truncation){.export = export, .path = copy};
}

static void tell(struct writer *writer, struct export_state *export, struct span path)
{
    if (is_told(export, path) || writer->told.truncations == TOLD)
        return;
    if (!export->cut_paths)
        export->cut_paths = memory_new(TOLD_OF_EXPORT * sizeof *export->cut_paths);
    char *copy = export->cut_paths ? memory_copy_string(path.data, path.length) : NULL;
    if (!copy)
        return;
    export->cut_paths[export->cut_path_count++] = copy;
    writer->told.truncations++;
    bool last = export->cut_path_count == TOLD_OF_EXPORT || writer->told.truncations == TOLD;
    log_warning("engine", "array-truncated", log_span("export", export->name),
                log_text("path", copy), log_number("max_array_length", export->max_array),
                log_text("remedy", "a greater max_array_length for the export, or 0"),
                log_text(last ? "others" : NULL, "not told any more"));
}

void writer_tell_truncations(struct writer *writer)
{
    for (size_t i = 0; i < writer->applying.truncation_count; i++)
        tell(writer, writer->applying.truncations[i].export, writer->applying.truncations[i].path);
    writer->applying.truncation_count = 0;
}
