/*
 * The matches of windows with a filter over a whole view: who shares them. Windows of equal queries
 * find them once, whatever part of them each shows: each runs parts of the search under the owner
 * of its own, and what one has found all have. filter.c and fill.c have the rest.
 */
#include "window/reading.h"

static struct span matches_name(const void *value)
{
    return span_of(((const struct window_matches *)value)->name);
}

void windows_matches_init(struct windows *windows)
{
    map_init(&windows->matches, matches_name);
}

void windows_matches_fini(struct windows *windows)
{
    INVARIANT(windows->matches.count == 0);
    map_fini(&windows->matches);
}

/* Everything that decides which rows match, and their order. A configuration that is replaced while
 * a view is read once may define another one by its name. */
static char *print_name(const struct window_spec *spec, bool once)
{
    struct buffer name;
    buffer_init(&name, SIZE_MAX / 2);
    if (once)
        buffer_printf(&name, "once\n%p\n%p\n", (const void *)spec->view, (const void *)spec->stage);
    buffer_printf(&name, "%s\n%c", spec->view->id, spec->stage == spec->view->stage ? '-' : 'i');
    window_spec_print_rows(spec, &name);
    char *text = buffer_string(&name) ? buffer_take(&name, NULL) : NULL;
    buffer_fini(&name);
    return text;
}

/* ---- the rows ---- */

static void init_rows(struct window_matches *matches)
{
    map_init(&matches->by_key, window_row_map_key);
    map_init(&matches->turn_by_key, window_turn_map_key);
    window_bounds_init(&matches->bounds);
    buffer_init(&matches->fill.after, UINT32_MAX);
}

static void fini_rows(struct window_matches *matches)
{
    window_rows_fini(&matches->rows);
    map_fini(&matches->by_key);
    window_turns_clear(matches);
    map_fini(&matches->turn_by_key);
    window_bounds_fini(&matches->bounds);
    buffer_fini(&matches->fill.after);
}

void window_matches_reset(struct window_matches *matches)
{
    INVARIANT(!matches->found || matches->once);
    fini_rows(matches);
    matches->fill = (struct window_fill_point){.begun = false};
    matches->found = matches->broken = false;
    init_rows(matches);
}

/* ---- who has them ---- */

/* Whether other windows would join these. */
static bool is_offered(const struct windows *windows, const struct window_matches *matches)
{
    return map_get(&windows->matches, matches_name(matches)) == matches;
}

void window_matches_unref(struct window_matches *matches, struct windows *windows)
{
    if (!matches)
        return;
    INVARIANT(matches->references > 0);
    if (--matches->references)
        return;
    if (is_offered(windows, matches))
        map_remove(&windows->matches, matches_name(matches));
    fini_rows(matches);
    pthread_mutex_destroy(&matches->lock);
    memory_free(matches->name);
    memory_free(matches);
}

static struct window_matches *matches_new(void)
{
    struct window_matches *matches = memory_new(sizeof *matches);
    if (!matches)
        return NULL;
    if (pthread_mutex_init(&matches->lock, NULL) != 0) {
        memory_free(matches);
        return NULL;
    }
    matches->references = 1;
    matches->far = INT64_MAX;
    init_rows(matches);
    return matches;
}

/* New ones of that name, which is taken over in any case. */
static struct window_matches *make(struct windows *windows, char *name)
{
    struct window_matches *matches = matches_new();
    if (!matches) {
        memory_free(name);
        return NULL;
    }
    matches->name = name;
    if (map_add(&windows->matches, matches))
        return matches;
    window_matches_unref(matches, windows);
    return NULL;
}

/* `makes`: new ones, if there are none. */
static bool join(struct window *window, bool once, bool makes)
{
    struct windows *windows = window->hub->windows;
    char *name = print_name(&window->spec, once);
    if (!name)
        return false;
    struct window_matches *matches = map_get(&windows->matches, span_of(name));
    if (matches)
        matches->references++;
    if (matches || !makes) {
        memory_free(name);
    } else {
        if (!(matches = make(windows, name)))
            return false;
        matches->once = once;
    }
    window->matches = matches;
    return true;
}

bool window_matches_join(struct window *window)
{
    return window->matches || join(window, false, true);
}

bool window_matches_join_once(struct window *window, bool makes)
{
    return window->matches || join(window, true, makes);
}

void window_matches_withdraw(struct window *window)
{
    struct windows *windows = window->hub->windows;
    if (window->matches && is_offered(windows, window->matches))
        map_remove(&windows->matches, matches_name(window->matches));
}

void window_matches_drop(struct window *window)
{
    struct windows *windows = window->hub->windows;
    if (window->matching == MATCHES_KEPT)
        window->matching = MATCHES_WANTED;
    window_matches_withdraw(window);
    window_matches_unref(window->matches, windows);
    window->matches = NULL;
}
