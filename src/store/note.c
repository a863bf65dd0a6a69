/* The table note. */
#include "store/note.h"

#include "store/store_internal.h"

enum { TRIM_STEP = 1000 };

/* A write beside the mutations may know an older newest change than what is in its transaction. */
static const char put_sql[] =
    "INSERT INTO note (change, kind, name, owner) VALUES "
    "(max(?1, coalesce((SELECT change FROM note ORDER BY id DESC LIMIT 1), 0)), ?2, ?3, ?4)";
static const char trim_sql[] =
    "DELETE FROM note WHERE id IN (SELECT id FROM note ORDER BY id LIMIT ?1) AND change < ?2";
static const char scan_sql[] =
    "SELECT note.id, note.change, kind, name, note.owner, expires_at, revoked_token.at, body, "
    "answer, idempotency_key.at FROM note LEFT JOIN revoked_token ON kind = 1 AND jti = name "
    "LEFT JOIN idempotency_key ON kind = 3 AND idempotency_key.owner = note.owner AND key = name "
    "WHERE note.id > ?1 AND (kind = 2 OR jti IS NOT NULL OR key IS NOT NULL) ORDER BY note.id";
static const char next_sql[] = "SELECT id, change FROM note WHERE id > ?1 ORDER BY id LIMIT 1";
static const char last_sql[] = "SELECT id, change FROM note ORDER BY id DESC LIMIT 1";

bool note_put(struct store_writer *writer, enum store_note_kind kind, int64_t change,
              struct span name, struct span owner, struct error *error)
{
    struct query query;
    if (!query_start(&query, &writer->connection, STATEMENT_NOTE_PUT, put_sql, error)) {
        return false;
    }
    query_integer(&query, change);
    query_integer(&query, kind);
    query_text(&query, name);
    query_text(&query, owner);
    return query_run(&query, error);
}

/* A text that is there may be absent all the same, when SQLite had no memory for it. */
static bool read_row(const struct query *query, struct store_note *note)
{
    struct span name = query_column_text(query, 3);
    *note = (struct store_note){.id = query_column(query, 0),
                                .change = query_column(query, 1),
                                .kind = (enum store_note_kind)query_column(query, 2)};
    switch (note->kind) {
    case STORE_NOTE_REVOKED:
        note->revoked =
            (struct store_revocation){name, query_column(query, 5), query_column(query, 6)};
        return name.data != NULL;
    case STORE_NOTE_FORGOTTEN:
        note->forgotten = name;
        return name.data != NULL;
    case STORE_NOTE_KEY:
        break;
    }
    note->key = (struct store_key){.owner = query_column_text(query, 4),
                                   .key = name,
                                   .body = query_column_bytes(query, 7),
                                   .answer = query_column_text(query, 8),
                                   .at = query_column(query, 9),
                                   .change = note->change};
    return name.data && note->key.owner.data && note->key.body.data && note->key.answer.data;
}

bool store_read_notes(struct store_reader *reader, int64_t behind,
                      bool (*each)(void *argument, const struct store_note *note), void *argument,
                      struct error *error)
{
    struct query query;
    enum query_step step;
    if (!query_start(&query, &reader->connection, STATEMENT_NOTE_SCAN, scan_sql, error)) {
        return false;
    }
    query_integer(&query, behind);
    while ((step = query_row(&query, error)) == QUERY_ROW) {
        struct store_note note;
        bool whole = read_row(&query, &note);
        if (!whole || !each(argument, &note)) {
            query_end(&query);
            return whole || error_set(error, ERROR_MEMORY, "out of memory while reading notes");
        }
    }
    return step == QUERY_DONE;
}

/* ---- where those of a change begin ---- */

/* A row of two numbers; not found: both are 0. */
static bool read_place(struct query *query, int64_t *id, int64_t *change, struct error *error)
{
    enum query_step step = query_row(query, error);
    bool found = step == QUERY_ROW;
    *id = found ? query_column(query, 0) : 0;
    *change = found ? query_column(query, 1) : 0;
    if (found) {
        query_end(query);
    }
    return step != QUERY_FAILED;
}

static bool read_next(struct store_reader *reader, int64_t behind, int64_t *id, int64_t *change,
                      struct error *error)
{
    struct query query;
    if (!query_start(&query, &reader->connection, STATEMENT_NOTE_NEXT, next_sql, error)) {
        return false;
    }
    query_integer(&query, behind);
    return read_place(&query, id, change, error);
}

/* The change of a note never falls with its id, so halving finds it, without an index. */
bool store_find_notes(struct store_reader *reader, int64_t change, int64_t *id, struct error *error)
{
    struct query query;
    int64_t low = 0, high, found, of;
    if (!query_start(&query, &reader->connection, STATEMENT_NOTE_LAST, last_sql, error) ||
        !read_place(&query, &high, &of, error)) {
        return false;
    }
    if (of < change) {
        low = high; /* all are older */
    }
    while (low < high) { /* the notes up to `low` are older, those behind `high` are not */
        int64_t middle = low + (high - low) / 2;
        if (!read_next(reader, middle, &found, &of, error)) {
            return false;
        }
        if (of < change) {
            low = found;
        } else {
            high = middle;
        }
    }
    *id = low;
    return true;
}

/* Asked in each transaction of a full log: mostly none goes, which the oldest tells. */
bool notes_trim(struct store_writer *writer, struct error *error)
{
    struct query query;
    int64_t id, change, floor = writer->now.state.floor_change;
    if (!read_next(&writer->reader, 0, &id, &change, error)) {
        return false;
    }
    if (!id || change >= floor) {
        return true;
    }
    if (!query_start(&query, &writer->connection, STATEMENT_NOTE_TRIM, trim_sql, error)) {
        return false;
    }
    query_integer(&query, TRIM_STEP);
    query_integer(&query, floor);
    return query_run(&query, error);
}
