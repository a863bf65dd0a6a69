/* `stele views` of a server. */
#include "cli/ask.h"
#include "cli/views.h"

enum { TEXT_BYTES = 64 * 1024 };

static void add_text(const struct doc *doc, uint32_t node, struct buffer *out)
{
    if (node != DOC_NONE && doc->nodes[node].type == DOC_STRING)
        out->failed |= !doc_decode_string(doc, node, out);
}

/* {"field":["geo","lat"],"order":"desc"} is -geo.lat */
static void add_order(const struct doc *doc, uint32_t view, struct buffer *out)
{
    uint32_t sort = doc_member(doc, view, "sort");
    uint32_t field = sort == DOC_NONE ? sort : doc_member(doc, sort, "field");
    if (field == DOC_NONE || doc->nodes[field].type != DOC_ARRAY)
        return;
    buffer_add_string(out, doc_member_is(doc, sort, "order", "\"desc\"") ? "-" : "");
    uint32_t end = doc->nodes[field].end;
    for (uint32_t name = field + 1; name < end; name = doc->nodes[name].end) {
        buffer_add_string(out, name > field + 1 ? "." : "");
        add_text(doc, name, out);
    }
}

static bool add_view(struct view_list *list, const struct doc *doc, uint32_t view,
                     struct error *error)
{
    struct view_line line = {.rows = -1};
    struct buffer texts[3];
    uint32_t rows = doc_member(doc, view, "rows");
    if (rows == DOC_NONE || !doc_integer(doc, rows, &line.rows))
        line.rows = -1;
    for (size_t i = 0; i < 3; i++)
        buffer_init(&texts[i], TEXT_BYTES);
    add_text(doc, doc_member(doc, view, "id"), &texts[0]);
    add_text(doc, doc_member(doc, view, "mode"), &texts[1]);
    add_order(doc, view, &texts[2]);
    line.id = buffer_span(&texts[0]);
    line.mode = buffer_span(&texts[1]);
    line.last = buffer_span(&texts[2]);
    bool done = (!texts[0].failed && !texts[1].failed && !texts[2].failed) ||
                error_set(error, ERROR_MEMORY, "out of memory for a view");
    done = done && view_list_add(list, &line, error);
    for (size_t i = 0; i < 3; i++)
        buffer_fini(&texts[i]);
    return done;
}

static bool take_views(void *argument, const struct doc *doc, uint32_t root, struct error *error)
{
    struct view_list *list = argument;
    uint32_t views = doc_member(doc, root, "views");
    if (views == DOC_NONE || doc->nodes[views].type != DOC_ARRAY)
        return error_set(error, ERROR_NETWORK, "the server answered without views; is it a stele?");
    uint32_t end = doc->nodes[views].end;
    for (uint32_t view = views + 1; view < end; view = doc->nodes[view].end)
        if (!add_view(list, doc, view, error))
            return false;
    return true;
}

bool views_of_server(const struct views_options *options, struct error *error)
{
    struct view_list list;
    struct buffer path;
    struct ask ask;
    view_list_init(&list);
    buffer_init(&path, TEXT_BYTES);
    buffer_add_string(&path, "/v1/views");
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    done = done && ask_json(&ask, &path, take_views, &list, error);
    if (done)
        view_list_print(&list, "order");
    ask_close(&ask);
    buffer_fini(&path);
    view_list_fini(&list);
    return done;
}
