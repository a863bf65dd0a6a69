/*
 * Messages of the log that are no mutations: a token is revoked, a producer is forgotten. Each is
 * written in the transaction of its position, so every node has done it exactly if it is past the
 * message. It is never refused for what the node has: one that finds nothing to do is done, too.
 */
#include "engine/producers.h"

enum { TRIM_STEP = 1000 }; /* revocations of tokens that have run out, to make room */

static bool revoke(struct writer *writer, struct submission *submission, struct error *error)
{
    struct submission_command *command = &submission->command;
    int64_t at = submission->message.at;
    struct store_revocation row = {
        .token_id = command->name, .expires_at = command->expires_at, .at = at};
    return store_revocation_keep(writer->store, &row, at / 1000, TRIM_STEP, &command->done, error);
}

static struct span keep(struct submission *submission, struct span text)
{
    return text.data ? submission_keep(submission, text) : text;
}

/* The row as it was, whose texts the store lends only. */
static bool keep_row(struct submission *submission, const struct store_producer *found,
                     struct error *error)
{
    struct store_producer *row = submission_zeroed(submission, sizeof *row);
    bool kept = row != NULL;
    if (kept) {
        *row = *found;
        row->name = keep(submission, found->name);
        row->owner = keep(submission, found->owner);
        row->mark = keep(submission, found->mark);
        kept = row->name.data && !row->owner.data == !found->owner.data &&
               !row->mark.data == !found->mark.data;
    }
    submission->command.producer = row;
    return kept || error_set(error, ERROR_MEMORY, "out of memory while forgetting a producer");
}

/* Only the subject's own; without authentication any. */
static bool forget(struct writer *writer, struct submission *submission, struct error *error)
{
    struct submission_command *command = &submission->command;
    struct store_producer row;
    bool found;
    if (!known_producer_read(writer, command->name, &row, &found, error))
        return false;
    command->done = found && (!submission->owner.data ||
                              (row.owner.data && span_equal(row.owner, submission->owner)));
    return !command->done || (keep_row(submission, &row, error) &&
                              known_producer_remove(writer, command->name, error));
}

bool command_apply(struct writer *writer, struct submission *submission, struct error *error)
{
    INVARIANT(submission->message.sequence && !submission->mutation_count);
    return submission->command.kind == COMMAND_REVOKE ? revoke(writer, submission, error)
                                                      : forget(writer, submission, error);
}
