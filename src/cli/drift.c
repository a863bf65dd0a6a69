#include "cli/drift.h"

#include "terminal/terminal.h"

#include <unistd.h>

enum { AGAIN_MS = 250, DIFFERENT = 1, UNKNOWN = 2, LIST_BYTES = 64 };

struct names {
    char **list;
    size_t count, capacity;
    size_t width; /* of the longest */
    bool are_all; /* nobody named them */
};

/* ---- which views ---- */

/* Whoever names a view twice, or its export, too, wants it once. */
static bool is_there(const struct names *names, struct span name, const char *end)
{
    for (size_t i = 0; !names->are_all && i < names->count; i++)
        if (strncmp(names->list[i], name.data, name.length) == 0 &&
            strcmp(names->list[i] + name.length, end) == 0)
            return true;
    return false;
}

static bool add_name(struct names *names, struct span name, const char *end, struct error *error)
{
    size_t length = name.length + strlen(end);
    if (is_there(names, name, end))
        return true;
    char *copy = memory_alloc(length + 1);
    if (!copy || !array_reserve((void **)&names->list, names->count, &names->capacity,
                                sizeof *names->list)) {
        memory_free(copy);
        return error_set(error, ERROR_MEMORY, "out of memory");
    }
    memcpy(copy, name.data, name.length);
    memcpy(copy + name.length, end, strlen(end) + 1);
    names->list[names->count++] = copy;
    names->width = length > names->width ? length : names->width;
    return true;
}

static struct span name_of(const void *name)
{
    return span_of(name);
}

/* Whether the export of "Quake/append" has a list among these. */
static bool has_list(const struct map *listed, struct span id)
{
    struct buffer list;
    const char *slash = memchr(id.data, '/', id.length);
    buffer_init(&list, UINT32_MAX);
    buffer_add(&list, id.data, slash ? (size_t)(slash - id.data) : id.length);
    buffer_add_string(&list, "/list");
    bool found = map_get(listed, buffer_span(&list)) != NULL;
    buffer_fini(&list);
    return found;
}

/* The append views, or all others; without those whose export has a list among `listed`. */
static bool add_listed(struct names *names, const struct doc *doc, uint32_t views, bool append,
                       const struct map *listed, struct error *error)
{
    struct buffer id;
    bool done = true;
    buffer_init(&id, UINT32_MAX);
    uint32_t end = doc->nodes[views].end;
    for (uint32_t each = views + 1; done && each < end; each = doc->nodes[each].end) {
        uint32_t name = doc_member(doc, each, "id");
        if (doc_member_is(doc, each, "mode", "\"append\"") != append)
            continue;
        buffer_clear(&id);
        done = (name != DOC_NONE && doc_decode_string(doc, name, &id)) ||
               error_set(error, ERROR_NETWORK, "the server lists views without names");
        if (done && !has_list(listed, buffer_span(&id)))
            done = add_name(names, buffer_span(&id), "", error);
    }
    buffer_fini(&id);
    return done;
}

static bool index_names(const struct names *names, struct map *listed, struct error *error)
{
    for (size_t i = 0; i < names->count; i++)
        if (!map_get(listed, name_of(names->list[i])) && !map_add(listed, names->list[i]))
            return error_set(error, ERROR_MEMORY, "out of memory");
    return true;
}

static bool take_list(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct names *names = argument;
    struct map listed;
    uint32_t views = doc_member(doc, root, "views");
    if (views == DOC_NONE || doc->nodes[views].type != DOC_ARRAY)
        return error_set(error, ERROR_NETWORK, "the server answered without views");
    map_init(&listed, name_of);
    bool done = add_listed(names, doc, views, false, &listed, error) &&
                index_names(names, &listed, error) &&
                add_listed(names, doc, views, true, &listed, error);
    map_fini(&listed);
    return done;
}

static bool find_names(struct names *names, const struct option_texts *given,
                       struct drift_side *side, struct error *error)
{
    struct buffer path;
    names->are_all = given->count == 0;
    for (size_t i = 0; i < given->count; i++) {
        struct span name = span_of(given->items[i]);
        const char *end = strchr(given->items[i], '/') ? "" : "/list";
        if (!add_name(names, name, end, error))
            return false;
    }
    if (!names->are_all)
        return true;
    buffer_init(&path, LIST_BYTES);
    buffer_add_string(&path, "/v1/views");
    bool done = ask_json(&side->ask, &path, take_list, names, error);
    buffer_fini(&path);
    return done;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        memory_free(names->list[i]);
    memory_free(names->list);
}

/* ---- each view ---- */

static int show_one(const struct drift_options *options, struct drift_side *side,
                    const struct names *names, const char *view)
{
    struct drift_sums sums;
    struct error error;
    int code = EXIT_FINE;
    drift_sums_init(&sums);
    if (drift_side_ask(side, view, false, NULL, &sums, &error)) {
        drift_print_sums(view, &sums, (int)names->width, options->json);
    } else if (!names->are_all || !drift_side_wants_key(side)) {
        output_tell("stele check: %s: %s", view, error.message);
        code = UNKNOWN;
    }
    drift_sums_fini(&sums);
    return code;
}

/* Changes may share a seq, and a side may have some of them only. So what differs counts when it
 * was found twice. */
static void compare_twice(struct drift_side sides[2], const char *view, struct drift_found *found)
{
    struct drift_found before = {.verdict = DRIFT_UNKNOWN};
    drift_compare(sides, view, &before);
    bool differs = before.verdict == DRIFT_DIFFERENT;
    if (differs) {
        usleep(AGAIN_MS * 1000);
        drift_compare(sides, view, found);
        drift_found_confirm(found, &before);
    } else {
        drift_found_clear(found);
        *found = before;
        before = (struct drift_found){.keys = NULL};
    }
    drift_found_clear(&before);
}

static int compare_one(const struct drift_options *options, struct drift_side sides[2],
                       const struct names *names, const char *view)
{
    struct drift_found found = {.verdict = DRIFT_UNKNOWN};
    uint64_t until_us = clock_monotonic_us() + (uint64_t)options->wait * 1000 * 1000;
    for (;;) {
        compare_twice(sides, view, &found);
        bool settled = found.verdict == DRIFT_DIFFERENT || !found.again;
        if (settled || clock_monotonic_us() >= until_us)
            break;
        usleep(AGAIN_MS * 1000);
    }
    bool shown = !names->are_all || !found.wants_key; /* of all views, those of one row are not */
    if (shown)
        drift_print_found(view, &found, (int)names->width, options->json);
    int code = !shown || found.verdict == DRIFT_EQUAL ? EXIT_FINE
               : found.verdict == DRIFT_DIFFERENT     ? DIFFERENT
                                                      : UNKNOWN;
    drift_found_clear(&found);
    return code;
}

/* ---- all ---- */

static bool open_second(const struct drift_options *options, struct drift_side *side,
                        struct error *error)
{
    if (options->database)
        return drift_side_open_file(side, options->database, options->config_file, options->stacks,
                                    error);
    return options->urls->count < 2 ||
           drift_side_open_server(side, options->urls->items[1], options->access, error);
}

static int check_all(const struct drift_options *options, struct drift_side sides[2],
                     const struct names *names)
{
    bool different = false, unknown = false;
    for (size_t i = 0; i < names->count && !ferror(stdout); i++) {
        int code = sides[1].name ? compare_one(options, sides, names, names->list[i])
                                 : show_one(options, &sides[0], names, names->list[i]);
        different |= code == DIFFERENT;
        unknown |= code == UNKNOWN;
        fflush(stdout);
    }
    return different ? DIFFERENT : unknown || ferror(stdout) ? UNKNOWN : EXIT_FINE;
}

int drift_check(const struct drift_options *options)
{
    struct drift_side sides[2] = {{.name = NULL}};
    struct names names = {.list = NULL};
    struct error error = {0};
    bool done =
        drift_side_open_server(&sides[0], options->urls->items[0], options->access, &error) &&
        open_second(options, &sides[1], &error) &&
        find_names(&names, options->views, &sides[0], &error);
    int code = UNKNOWN;
    if (done)
        code = check_all(options, sides, &names);
    else
        command_failed(&error);
    free_names(&names);
    drift_side_close(&sides[0]);
    drift_side_close(&sides[1]);
    return code;
}
