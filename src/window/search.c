/*
 * What a filter lets pass of a whole view, for a window that is read once. It looks at some rows
 * first, which mostly is enough. When it is not, its matches are found as for a subscriber, in
 * several short transactions: one job each, so that others have their turn between them.
 *
 * Reads with equal filters share one search while they are under way, whatever part of its rows
 * each shows. Subscribers have searches of their own, because refreshes use what these find without
 * the lock; reads use matches under it alone, from before their transaction begins until it ends.
 * So no read meets matches of a state behind its own.
 */
#include "window/reading.h"

enum {
    BRIEF_LOOK = 2000,  /* before others' turns: most filters need no more */
    FIRST_LOOK = 20000, /* rows that a filter looks at in one transaction */
    REFILLS = 3         /* how often a view may change too much to be filtered in steps */
};

/* The rows that the window needs of those that pass, from the first on. */
static int64_t rows_needed(const struct window_spec *spec)
{
    return spec->take == VIEW_ALL ? INT64_MAX : spec->skip + spec->take;
}

/* A look has failed that needed no more rows. */
static bool is_far(const struct window *window)
{
    return window->matches && window->matches->far <= rows_needed(&window->spec);
}

void window_search_init(struct window_search *search, struct window *window)
{
    search->window = window;
    window->matching = window_may_scan(window) ? MATCHES_PASSED : MATCHES_WANTED;
    search->wanted = window_is_sorted(window); /* what comes first is known when all are */
}

bool window_search_join(struct window_search *search)
{
    struct window *window = search->window;
    bool searches = search->wanted || search->looked;
    if (!searches && !window_filters_all(window))
        return true;
    if (!window_matches_join_once(window, searches))
        return false;
    search->wanted = search->wanted || is_far(window);
    return true;
}

/* ---- on a reader ---- */

int64_t window_search_look(const struct window_search *search)
{
    const struct window *window = search->window;
    int64_t most = window->hub->options.max_filter_rows,
            look = search->looked ? FIRST_LOOK : BRIEF_LOOK;
    if (!window_filters_all(window) || window->matching == MATCHES_KEPT)
        return 0;
    return most < look ? most : look;
}

void window_search_missed(struct window_search *search)
{
    struct window *window = search->window;
    bool far = search->looked;
    search->wanted = far;
    search->looked = true;
    if (!far || !window->matches)
        return;
    pthread_mutex_lock(&window->matches->lock);
    if (!is_far(window))
        window->matches->far = rows_needed(&window->spec);
    pthread_mutex_unlock(&window->matches->lock);
}

void window_search_begin(struct window_search *search)
{
    struct window *window = search->window;
    search->wanted = search->wanted || is_far(window);
    search->locked = search->wanted && window->matches;
    if (!search->locked)
        return;
    pthread_mutex_lock(&window->matches->lock);
    window->matching = window->matches->found ? MATCHES_KEPT : MATCHES_WANTED;
}

void window_search_end(struct window_search *search)
{
    if (search->locked)
        pthread_mutex_unlock(&search->window->matches->lock);
    search->locked = false;
}

static bool find_part(struct window_search *search, struct store_reader *reader,
                      enum window_filled *filled, struct error *error)
{
    const struct hub *hub = search->window->hub;
    const struct hub_options *options = &hub->options;
    const struct window_fill_limits limits = {.matches = options->max_window_rows,
                                              .rows = options->max_filter_rows,
                                              .now = engine_times(hub->engine).now / 1000,
                                              .until_us =
                                                  clock_monotonic_us() + options->refresh_us};
    if (!window_matches_fill(search->window, reader, &limits, filled, error))
        return false;
    return *filled != WINDOW_FILL_ENDS ||
           error_set(error, ERROR_TOO_LARGE,
                     "the view has more than %lld rows, which is what a filter may look at; ask "
                     "for so few (take) that they are found soon, define a view with that filter, "
                     "or raise max_filter_rows",
                     (long long)options->max_filter_rows);
}

/* What one read may not find, no other of the same filter may either. */
bool window_search_run(struct window_search *search, struct store_reader *reader, bool *more,
                       struct error *error)
{
    struct window *window = search->window;
    struct window_matches *matches = window->matches;
    enum window_filled filled = WINDOW_FILLED;
    *more = false;
    if (matches->found)
        return true;
    if (matches->failure.code != ERROR_NONE || !find_part(search, reader, &filled, error)) {
        if (matches->failure.code == ERROR_NONE && error->code == ERROR_TOO_LARGE)
            matches->failure = *error;
        if (matches->failure.code != ERROR_NONE)
            *error = matches->failure;
        return false;
    }
    *more = filled != WINDOW_FILLED;
    if (!*more)
        window->matching = MATCHES_KEPT;
    return true;
}

bool window_search_anew(struct window_search *search, struct error *error)
{
    window_matches_reset(search->window->matches);
    search->window->matching = MATCHES_WANTED;
    return ++search->refills <= REFILLS ||
           error_set(error, ERROR_QUEUE_FULL,
                     "the view changes too fast to be filtered; try again later");
}
