/*
 * The invariants of a refresh fire: of what it reads, serves and brings, and of finding matches.
 */
#include "planted_window.h"
#include "test.h"

#include "invariant_fixture.h"

/* ---- a refresh, and what it brings ---- */

enum {
    NO_REFRESH,
    NOT_REFRESHING,
    FILLS_MEANWHILE,
    VERSION_BACK,
    VERSION_OF_ANOTHER,
    FRAME_LOG_AHEAD,
    RETURNED_TWICE,
    SERVED_UNTAKEN,
    TAKEN_UNCOUNTED
};

static void break_refresh(int fault)
{
    struct read_job *job;
    make("\"take\":2");
    switch (fault) {
    case RETURNED_TWICE:
    case SERVED_UNTAKEN:
        fall_behind();
        job = take_job();
        if (fault == SERVED_UNTAKEN)
            subscription->member->request->stage = REQUEST_QUEUED;
        run_job(job);
        subscription->member->request->stage = REQUEST_RETURNED;
        bring_back(job);
        return;
    case TAKEN_UNCOUNTED:
        windows->refreshing = true; /* so that it waits */
        fall_behind();
        windows->refreshing = false;
        window->request_count = 0;
        begin_refresh();
        return;
    default:
        break;
    }
    job = begin_refresh();
    if (fault == FILLS_MEANWHILE)
        window->busy = WINDOW_FILLED_UP;
    run_job(job);
    windows->refreshing = fault != NO_REFRESH;
    if (fault == NOT_REFRESHING)
        window->busy = WINDOW_AT_REST;
    if (fault == VERSION_BACK)
        window->published.version = 1000;
    window->content.version += fault == VERSION_OF_ANOTHER;
    if (fault == FRAME_LOG_AHEAD)
        window->frame_log.head = 1000;
    bring_back(job);
}

enum {
    NOT_FILLING,
    MATCHES_MIXED_UP,
    MATCHES_UNCOUNTED,
    MATCHES_AHEAD,
    MATCHES_UNREFERENCED,
    MATCHES_LEFT,
    RESET_WHILE_SHARED
};

static void break_filter(int fault)
{
    open_hub();
    subscribe("\"filters\":{\"n\":1}");
    pull_all();
    struct read_job *job = take_job();
    assert_int_equal(window->busy, WINDOW_FILLED_UP);
    run_job(job);
    if (fault == NOT_FILLING)
        window->busy = WINDOW_AT_REST;
    bring_back(job);
    settle();
    struct window_row **matches = window->matches->rows.list, *first = matches[0]; /* k2, k1, k0 */
    if (fault == MATCHES_MIXED_UP) {
        matches[0] = matches[1];
        matches[1] = first;
    }
    window->matches->by_key.count += fault == MATCHES_UNCOUNTED;
    if (fault == MATCHES_AHEAD)
        window->matches->position = INT64_MAX;
    if (fault == MATCHES_UNREFERENCED)
        window->matches->references = 0;
    if (fault == MATCHES_UNREFERENCED)
        window_matches_drop(window);
    if (fault == MATCHES_LEFT)
        windows_matches_fini(windows);
    if (fault == RESET_WHILE_SHARED)
        window_matches_reset(window->matches);
    hub_fixture_feed(&fixture, "Q k1 patch {\"m\":2}");
    run_job(take_job());
}

/* A reading as a refresh has one, of the state `last_change`. */
enum {
    STATE_BACK,
    FRESH_UNREAD,
    FRESH_BEYOND,
    REMOVALS_BACK,
    REMOVALS_UNCOUNTED,
    REMOVALS_BEYOND,
    REMOVALS_NEWER,
    ROWS_BEYOND,
    SERVES_ANOTHER,
    SERVES_UNSETTLED,
    SERVES_TWICE
};

static void break_reading(int fault)
{
    make("\"take\":2");
    struct view_state state = {.log.last_change = INT64_MAX};
    struct window_result result = {.window = window, .version = window->content.version};
    struct window_fresh fresh = {.row = window->content.rows.list[0], .at = 5, .length = 5};
    struct window_reading reading = {
        .window = window, .result = &result, .state = &state, .fresh = &fresh};
    window_reading_init(&reading);
    window->content.rows.list[0]->mark = window->content.rows.list[1]->mark = FATE_LEFT;
    if (fault >= REMOVALS_BACK && fault <= REMOVALS_NEWER) {
        window->content.removals.list =
            memory_new(WINDOW_REMOVALS * sizeof *window->content.removals.list);
        window->content.removals.count = fault == REMOVALS_NEWER ? 1 : WINDOW_REMOVALS;
    }
    switch (fault) {
    case STATE_BACK:
        state.log.last_change = window->content.position - 1;
        window_diff(&reading);
        break;
    case FRESH_UNREAD:
        reading.fresh_count = 1;
        window_diff(&reading);
        break;
    case FRESH_BEYOND:
        reading.fresh_count = reading.rows.count = 1;
        reading.rows.list = window->content.rows.list;
        window_diff(&reading);
        break;
    case REMOVALS_BACK:
        window->content.removals.floor = 1;
        window_diff(&reading);
        break;
    case REMOVALS_UNCOUNTED:
        window->content.removals.list[0].key_length = 1;
        window_diff(&reading);
        break;
    case REMOVALS_BEYOND:
        window->content.removals.count++;
        window_diff(&reading);
        break;
    case REMOVALS_NEWER:
        window->content.removals.list[0].version = 1000;
        window_diff(&reading);
        break;
    case ROWS_BEYOND:
        window->content.rows.capacity = 1;
        window_rows_add(&window->content.rows, window->content.rows.list[0]);
        break;
    case SERVES_ANOTHER:
        request.window = NULL;
        window_encode_request(&reading, &request);
        break;
    case SERVES_UNSETTLED:
        result.version++;
        window_encode_request(&reading, &request);
        break;
    case SERVES_TWICE:
        request.done = true;
        window_encode_request(&reading, &request);
        break;
    }
}

static const struct broken_case cases[] = {
    {break_refresh, NO_REFRESH, "hub->windows->refreshing"},
    {break_refresh, NOT_REFRESHING, "window->busy == WINDOW_REFRESHED"},
    {break_refresh, FILLS_MEANWHILE, "result->window->busy == WINDOW_REFRESHED"},
    {break_refresh, VERSION_BACK, "window->published.version <= result->version"},
    {break_refresh, VERSION_OF_ANOTHER, "window->content.version == result->version"},
    {break_refresh, FRAME_LOG_AHEAD, "window->frame_log.head + result->differs <= result->version"},
    {break_refresh, RETURNED_TWICE, "request->stage == REQUEST_TAKEN"},
    {break_refresh, SERVED_UNTAKEN, "request->stage == REQUEST_TAKEN"},
    {break_refresh, TAKEN_UNCOUNTED, "request->window->request_count > 0"},

    {break_filter, NOT_FILLING, "window->busy == WINDOW_FILLED_UP"},
    {break_filter, MATCHES_MIXED_UP, "at < matches->count && matches->list[at] == row"},
    {break_filter, MATCHES_UNCOUNTED, "matches->count == window->matches->by_key.count"},
    {break_filter, MATCHES_AHEAD, "matches->position <= log->last_change"},
    {break_filter, MATCHES_UNREFERENCED, "matches->references > 0"},
    {break_filter, MATCHES_LEFT, "windows->matches.count == 0"},
    {break_filter, RESET_WHILE_SHARED, "!matches->found || matches->once"},

    {break_reading, STATE_BACK, "window->content.position <= reading->state->log.last_change"},
    {break_reading, FRESH_UNREAD, "reading->fresh_count <= reading->rows.count"},
    {break_reading, FRESH_BEYOND, "fresh->at + fresh->length <= reading->data.length"},
    {break_reading, REMOVALS_BACK, "removals->floor <= removals->list[i].version"},
    {break_reading, REMOVALS_UNCOUNTED, "removals->bytes >= removals->list[i].key_length"},
    {break_reading, REMOVALS_BEYOND, "removals->count < WINDOW_REMOVALS"},
    {break_reading, REMOVALS_NEWER,
     "!removals->count || removals->list[removals->count - 1].version <= window->content.version + "
     "1"},
    {break_reading, ROWS_BEYOND, "rows->count <= rows->capacity"},
    {break_reading, SERVES_ANOTHER, "request->window == reading->window && !request->same"},
    {break_reading, SERVES_UNSETTLED,
     "reading->window->content.known && reading->window->content.version == "
     "reading->result->version"},
    {break_reading, SERVES_TWICE, "!request->done && !request->text && !request->drafts"},
};

TEST(all_fire)
{
    assert_all_broken(cases, sizeof cases / sizeof *cases, make_file, remove_file);
}
