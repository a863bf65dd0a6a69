/*
 * The decoder of mutations, with any bytes. The first byte chooses the format. Whatever was
 * decoded must hold together: spans are read, batches cover the mutations, one after the other.
 */
#include "ingest/ingest.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static size_t sum_of(struct span span)
{
    size_t sum = 0;
    for (size_t i = 0; i < span.length; i++)
        sum += (unsigned char)span.data[i];
    return sum;
}

static void check_mutation(const struct submission *submission, const struct mutation *mutation,
                           const struct ingest_options *options)
{
    struct error error;
    check(view_export_name_check(mutation->export_name, &error));
    check(mutation->key.length <= options->max_key_bytes && sum_of(mutation->key) < SIZE_MAX);
    check((mutation->patch == DOC_NONE) == (mutation->operation == ROW_DELETE));
    if (mutation->patch != DOC_NONE)
        check(doc_depth(&submission->doc, mutation->patch) <= options->max_depth);
    for (size_t i = 0; i < mutation->append_count; i++)
        check(doc_valid_utf8(mutation->appends[i].path));
    check(!mutation->has_seq || (mutation->seq.slot >= 0 && mutation->seq.index >= 0));
}

static void check_submission(const struct submission *submission,
                             const struct ingest_options *options)
{
    size_t covered = 0;
    for (size_t i = 0; i < submission->batch_count; i++) {
        check(submission->batches[i].first == covered);
        covered += submission->batches[i].count;
    }
    check(covered == submission->mutation_count);
    for (size_t i = 0; i < submission->mutation_count; i++)
        check_mutation(submission, &submission->mutations[i], options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ingest_options options = {
        .max_request_bytes = 1 << 20, .max_depth = 16, .max_key_bytes = 64};
    if (!size)
        return 0;
    enum ingest_format format = data[0] & 1 ? INGEST_MESSAGE : INGEST_LINES;
    struct span body = span_make((const char *)data + 1, size - 1), id;
    struct error error = {.code = ERROR_NONE};
    struct submission *submission = ingest_submission(body.length);
    if (!submission)
        return 0;
    if (ingest_decode(&options, format, body, submission, &id, &error))
        check_submission(submission, &options);
    else
        check(error.code != ERROR_NONE && *error.message);
    check(sum_of(id) < SIZE_MAX);
    submission_free(submission);
    return 0;
}
