#include "http/changes_notes.h"

#include "json/json.h"

static bool end_line(struct changes_notes *notes, int64_t change)
{
    buffer_printf(&notes->text, ",\"change\":%lld}\n", (long long)change);
    if (notes->text.failed || !array_reserve((void **)&notes->lines, notes->count, &notes->capacity,
                                             sizeof *notes->lines)) {
        notes->text.failed = true;
        return false;
    }
    notes->lines[notes->count++] =
        (struct changes_line){.change = change, .end = notes->text.length};
    return true;
}

static void print_text(struct buffer *out, const char *name, struct span text)
{
    buffer_add_string(out, name);
    doc_escape(out, text);
}

static void print_revoked(struct buffer *out, const struct store_revocation *revoked)
{
    print_text(out, "{\"revoked\":", revoked->token_id);
    if (revoked->expires_at)
        buffer_printf(out, ",\"expires_at\":%lld", (long long)revoked->expires_at);
    buffer_printf(out, ",\"at\":%lld", (long long)revoked->at);
}

static void print_key(struct buffer *out, const struct store_key *key)
{
    print_text(out, "{\"idempotency_key\":", key->key);
    print_text(out, ",\"owner\":", key->owner);
    buffer_add_string(out, ",\"body\":\"");
    for (size_t i = 0; i < key->body.length; i++)
        buffer_printf(out, "%02x", (unsigned char)key->body.data[i]);
    print_text(out, "\",\"answer\":", key->answer);
    buffer_printf(out, ",\"at\":%lld", (long long)key->at);
}

static bool add_revoked(void *argument, const struct store_revocation *revoked)
{
    struct changes_notes *notes = argument;
    print_revoked(&notes->text, revoked);
    return end_line(notes, notes->after);
}

/* What is told ends behind a change all of whose notes are told, or within those of one change: the
 * first of them, if any, is of the request that made the change. */
static void be_full(struct changes_notes *notes, int64_t next)
{
    notes->full = true;
    notes->until = next > notes->newest ? next - 1 : next;
}

static bool add_note(void *argument, const struct store_note *note)
{
    struct changes_notes *notes = argument;
    if (note->change > notes->until)
        return false; /* with that change */
    if (notes->text.length >= notes->most) {
        be_full(notes, note->change);
        return false;
    }
    notes->last = note->id;
    if (note->change < notes->after || (notes->is_new && note->kind == STORE_NOTE_REVOKED))
        return true;
    notes->newest = note->change;
    notes->forgets |= note->kind == STORE_NOTE_FORGOTTEN;
    if (note->kind == STORE_NOTE_REVOKED)
        print_revoked(&notes->text, &note->revoked);
    else if (note->kind == STORE_NOTE_FORGOTTEN)
        print_text(&notes->text, "{\"forgotten\":", note->forgotten);
    else
        print_key(&notes->text, &note->key);
    return end_line(notes, note->change);
}

bool changes_notes_read(struct changes_notes *notes, struct store_reader *reader,
                        struct error *error)
{
    notes->newest = notes->after;
    if (notes->is_new && (!store_find_notes(reader, notes->after, &notes->last, error) ||
                          !store_read_revocations(reader, add_revoked, notes, error)))
        return false;
    if (!notes->text.failed && !store_read_notes(reader, notes->last, add_note, notes, error))
        return false;
    return !notes->text.failed ||
           error_set(error, ERROR_MEMORY, "out of memory while reading notes");
}

void changes_notes_fini(struct changes_notes *notes)
{
    buffer_fini(&notes->text);
    memory_free(notes->lines);
}
