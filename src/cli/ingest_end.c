/* How a run of ingest ends before its time. */
#include "cli/ingest_internal.h"

void ingest_abandon(struct ingest *ingest, const struct error *error)
{
    if (!ingest->abandoned)
        ingest->error = *error;
    ingest->abandoned = true;
    ingest->input_ended = true;
}

void ingest_end_at(struct ingest *ingest, int64_t first, int64_t last, const struct error *error)
{
    ingest->input_ended = true;
    if (ingest->abandoned || (ingest->error_line > 0 && ingest->error_line < first))
        return;
    ingest->error = *error;
    ingest->error_line = first;
    if (first == last)
        error_prefix(&ingest->error, "line %lld", (long long)first);
    else
        error_prefix(&ingest->error, "lines %lld to %lld", (long long)first, (long long)last);
}

void ingest_out_of_memory(struct ingest *ingest)
{
    struct error error;
    error_set(&error, ERROR_MEMORY, "out of memory");
    ingest_abandon(ingest, &error);
}
