#include "rows/past_point.h"
#include "rows/past.h"

#include <inttypes.h>
#include <time.h>

enum { TIME_BYTES = 40, MS = 1000 };

/* ---- the forms ---- */

static bool read_number(struct span digits, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < digits.length; i++) {
        char c = digits.data[i];
        if (c < '0' || c > '9' || *number > (INT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (c - '0');
    }
    return digits.length > 0;
}

/* Milliseconds of the fraction that begins here: ".5" is 500. */
static bool read_fraction(const char **at, int64_t *ms)
{
    int64_t unit = MS / 10;
    *ms = 0;
    if (**at != '.')
        return true;
    for (++*at; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
        *ms += (**at - '0') * unit;
    return (*at)[-1] != '.';
}

/* YYYY-MM-DD, or with THH:MM:SS behind it, a fraction, and a Z. */
static bool read_date(struct span text, int64_t *ms)
{
    char copy[TIME_BYTES];
    struct tm parts = {0};
    int64_t fraction = 0;
    if (text.length >= sizeof copy || memchr(text.data, '\0', text.length))
        return false;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    const char *end = strptime(copy, "%Y-%m-%d", &parts);
    if (end && *end == 'T') {
        end = strptime(end + 1, "%H:%M:%S", &parts);
        if (!end || !read_fraction(&end, &fraction) || *end++ != 'Z')
            return false;
    }
    int day = parts.tm_mday;
    time_t seconds = timegm(&parts);
    *ms = (int64_t)seconds * MS + fraction;
    return end && !*end && parts.tm_mday == day; /* of 31 February it makes another day */
}

bool past_point_read(struct span text, struct past_point *point, struct error *error)
{
    *point = (struct past_point){.form = PAST_SEQ};
    if (seq_parse(text, &point->seq))
        return true;
    bool is_offset = text.length > 0 && text.data[0] == '@';
    point->form = is_offset ? PAST_OFFSET : PAST_TIME;
    if (is_offset && read_number(span_make(text.data + 1, text.length - 1), &point->number))
        return true;
    if (!is_offset &&
        (read_number(text, &point->number) || (text.length && read_date(text, &point->number))))
        return true;
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "'%.*s' is no position: give a seq (slot:index), an offset (@17), or a time "
                     "(2018-02-06T18:00:00Z, or milliseconds since 1970)",
                     text.length > 64 ? 64 : (int)text.length, text.data);
}

/* ---- the search ---- */

static bool is_trimmed(const struct past_search *search, const struct view_state *state,
                       struct error *error)
{
    return error_set(error, ERROR_HISTORY_TRIMMED,
                     "the log of '%.128s' does not reach back so far; it begins behind @%" PRId64
                     "; a longer retention_rows, retention_seconds or retention_bytes keeps more",
                     search->view->export_name, past_floor(false, state));
}

static bool is_ahead(const struct view_state *state, struct error *error)
{
    char head[SEQ_SIZE];
    seq_print(head, state->log.head);
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "the position is not there yet; the newest change is @%" PRId64
                     ", and the greatest seq %s",
                     state->log.last_change, head);
}

static bool found(struct past_search *search, int64_t at)
{
    search->at = at;
    search->done = true;
    return true;
}

/* The seq is of no change that the log has: before the first one of a greater seq. */
static bool walk(struct past_search *search, struct store_reader *reader,
                 const struct view_state *state, struct error *error)
{
    const struct store_export *export = &state->export;
    /* Some trimmed one may have had it. */
    if (export->floor_change && seq_compare(search->point.seq, export->floor_seq) <= 0)
        return is_trimmed(search, state, error);
    if (!store_walk_seqs(reader, export->id, &search->walk, search->scan_rows, error))
        return false;
    bool behind = search->walk.first && search->walk.first <= search->head;
    return !search->walk.done || found(search, behind ? search->walk.first - 1 : search->head);
}

static bool begin_seq(struct past_search *search, struct store_reader *reader,
                      const struct view_state *state, struct error *error)
{
    const struct store_export *export = &state->export;
    struct seq seq = search->point.seq;
    struct store_seq_range range;
    search->walk = (struct store_seq_walk){.seq = seq, .export_id = UINT32_MAX};
    if (seq_compare(seq, state->log.head) > 0)
        return is_ahead(state, error);
    if (!store_find_seq(reader, export->id, seq, &range, error))
        return false;
    if (range.last)
        return found(search, range.last);
    /* None that is kept has it, so the newest of the trimmed ones is the last that has. */
    if (export->floor_change && seq_compare(seq, export->trimmed_seq) == 0)
        return found(search, export->floor_change);
    return walk(search, reader, state, error);
}

/* From the newest change backwards. */
static bool go_back(struct past_search *search, struct store_reader *reader,
                    const struct view_state *state, struct error *error)
{
    int64_t floor = past_floor(false, state), to = search->next, id = 0;
    int64_t from = to - search->scan_rows > floor ? to - search->scan_rows : floor;
    if (to > from &&
        !store_find_time(reader, state->export.id, search->point.number, from, to, &id, error))
        return false;
    search->next = from;
    search->passed += to > from ? to - from : 0;
    if (id)
        return found(search, id);
    if (from > floor)
        return true;
    return floor == 0 ? found(search, 0) : is_trimmed(search, state, error);
}

static bool begin(struct past_search *search, struct store_reader *reader,
                  const struct view_state *state, struct error *error)
{
    const struct past_point *point = &search->point;
    search->begun = true;
    search->next = search->head = state->log.last_change;
    if (point->form == PAST_OFFSET)
        return point->number > search->head ? is_ahead(state, error) : found(search, point->number);
    if (point->form == PAST_TIME && point->number >= search->now_ms)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "the time is not over yet; it is %" PRId64 " here", search->now_ms);
    if (!state->found)
        return found(search, search->head);
    return point->form == PAST_SEQ ? begin_seq(search, reader, state, error)
                                   : go_back(search, reader, state, error);
}

static bool go_on(struct past_search *search, struct store_reader *reader,
                  const struct view_state *state, struct error *error)
{
    if (!search->begun)
        return begin(search, reader, state, error);
    return search->point.form == PAST_SEQ ? walk(search, reader, state, error)
                                          : go_back(search, reader, state, error);
}

bool past_search_run(struct past_search *search, struct store_reader *reader, struct error *error)
{
    struct view_state state;
    if (!store_read_begin(reader, error))
        return false;
    bool done = view_state_read(&state, search->view, reader, error) &&
                go_on(search, reader, &state, error);
    store_read_end(reader);
    if (!done || search->done || !search->most || search->passed < search->most)
        return done;
    return error_set(error, ERROR_TOO_LARGE,
                     "the time is more than %" PRId64
                     " changes back, which is what one request may "
                     "read (max_filter_rows); name the position by a seq",
                     search->most);
}
