/*
 * Queries of subscriptions: a predicate, of which {"dotted.path": value, …} is a case, and an
 * order. They come from the network, as canonical text that the parser of messages has already
 * bounded.
 */
#include "view/view_internal.h"

struct query_key {
    struct view_path path;
    bool descending;
};

struct view_query {
    size_t references;
    struct view_predicate *predicate; /* NULL: every row */
    struct query_key sorts[VIEW_QUERY_SORTS];
    size_t sort_count;
    char *text;
    size_t text_length;
};

struct view_query *view_query_ref(struct view_query *query)
{
    if (query)
        query->references++;
    return query;
}

void view_query_unref(struct view_query *query)
{
    if (!query || --query->references)
        return;
    predicate_unref(query->predicate);
    for (size_t i = 0; i < query->sort_count; i++)
        view_path_fini(&query->sorts[i].path);
    memory_free(query->text);
    memory_free(query);
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a query");
}

/* ---- filters ---- */

struct query_reading {
    struct view_query *query;
    const struct doc *doc;
    const struct view *view;
    const struct view_query_limits *limits;
    size_t terms; /* of the filters so far */
    struct error *error;
};

static bool add_part(struct view_query *query, struct view_predicate *part, struct error *error)
{
    if (!part)
        return false;
    if (predicate_add(query->predicate, part))
        return true;
    predicate_unref(part);
    return out_of_memory(error);
}

static bool decode(struct buffer *out, struct span bare)
{
    const char *at = bare.data, *end = at + bare.length;
    while (at < end)
        buffer_add_char(out, (char)doc_bare_next(&at, end));
    return !out->failed;
}

/* Of the path that is the name of a member. */
static struct view_predicate *of_member(struct query_reading *reading, enum predicate_kind kind,
                                        uint32_t member)
{
    struct view_predicate *predicate = predicate_new(kind);
    struct buffer path;
    if (!predicate) {
        out_of_memory(reading->error);
        return NULL;
    }
    buffer_init(&path, SIZE_MAX);
    bool good = decode(&path, doc_key(reading->doc, member))
                    ? view_path_read_text(&predicate->path, buffer_span(&path), reading->error)
                    : out_of_memory(reading->error);
    good = good && (view_path_hold(&predicate->path, reading->view) ||
                    view_path_refuse(&predicate->path, reading->view, reading->error));
    buffer_fini(&path);
    if (good)
        return predicate;
    predicate_unref(predicate);
    return NULL;
}

/* A missing member is not equal to null here, as it is in predicates. */
static bool read_filter(struct query_reading *reading, uint32_t member)
{
    struct view_predicate *equal = of_member(reading, PREDICATE_COMPARE, member);
    struct span value = doc_text(reading->doc, member);
    if (equal && !predicate_set_literal_text(equal, value, reading->error)) {
        predicate_unref(equal);
        return false;
    }
    bool null = reading->doc->nodes[member].type == DOC_NULL;
    return add_part(reading->query, equal, reading->error) &&
           (!null ||
            add_part(reading->query, of_member(reading, PREDICATE_EXISTS, member), reading->error));
}

static bool read_filters(struct query_reading *reading, uint32_t object)
{
    const struct doc_node *nodes = reading->doc->nodes;
    if (nodes[object].type != DOC_OBJECT)
        return error_set(reading->error, ERROR_CONFIGURATION,
                         "must be an object of dotted path to value");
    reading->terms = nodes[object].count;
    if (reading->terms > reading->limits->terms)
        return predicate_refuse_terms(reading->limits->terms, reading->error);
    for (uint32_t member = object + 1; member < nodes[object].end; member = nodes[member].end)
        if (!read_filter(reading, member))
            return false;
    return true;
}

/* ---- where ---- */

static bool read_where(struct query_reading *reading, uint32_t value)
{
    struct predicate_reading predicate = {.doc = reading->doc,
                                          .view = reading->view,
                                          .max_depth = reading->limits->depth,
                                          .max_terms = reading->limits->terms,
                                          .terms = reading->terms};
    return add_part(reading->query, predicate_read_doc(&predicate, value, 0, reading->error),
                    reading->error);
}

/* ---- sort ---- */

static bool read_order(const struct query_reading *reading, struct query_key *key, uint32_t value)
{
    static const char *const orders[] = {"\"asc\"", "\"desc\"", NULL};
    int order = view_word(orders, doc_text(reading->doc, value));
    key->descending = order == 1;
    return order >= 0 ||
           error_set(reading->error, ERROR_CONFIGURATION, "\"order\" must be asc or desc");
}

/* {"by": path, "order": "asc" or "desc"} */
static bool read_key_object(const struct query_reading *reading, struct query_key *key,
                            uint32_t object, uint32_t *path)
{
    const struct doc_node *nodes = reading->doc->nodes;
    for (uint32_t member = object + 1; member < nodes[object].end; member = nodes[member].end) {
        struct span name = doc_key(reading->doc, member);
        if (span_equal(name, span_of("by")))
            *path = member;
        else if (!span_equal(name, span_of("order")))
            return error_set(reading->error, ERROR_CONFIGURATION,
                             "a key has \"by\" and \"order\" alone");
        else if (!read_order(reading, key, member))
            return false;
    }
    return *path != DOC_NONE ||
           error_set(reading->error, ERROR_CONFIGURATION, "\"by\" is missing: the path to sort by");
}

static bool read_key(const struct query_reading *reading, uint32_t value)
{
    struct query_key *key = &reading->query->sorts[reading->query->sort_count];
    bool object = reading->doc->nodes[value].type == DOC_OBJECT;
    uint32_t path = object ? DOC_NONE : value;
    if (object && !read_key_object(reading, key, value, &path))
        return false;
    reading->query->sort_count++; /* from here on its path is the query's */
    return view_path_read_doc(&key->path, reading->doc, path, reading->error) &&
           (view_path_hold(&key->path, reading->view) ||
            view_path_refuse(&key->path, reading->view, reading->error));
}

static bool read_sort(const struct query_reading *reading, uint32_t list)
{
    const struct doc_node *nodes = reading->doc->nodes;
    size_t index = 0;
    if (nodes[list].type != DOC_ARRAY || nodes[list].count == 0)
        return error_set(reading->error, ERROR_CONFIGURATION,
                         "must be a list of keys, such as [{\"by\":\"mag\",\"order\":\"desc\"}]");
    if (nodes[list].count > VIEW_QUERY_SORTS)
        return error_set(reading->error, ERROR_CONFIGURATION, "has more than %d keys",
                         VIEW_QUERY_SORTS);
    for (uint32_t key = list + 1; key < nodes[list].end; key = nodes[key].end, index++)
        if (!read_key(reading, key))
            return error_prefix(reading->error, "[%zu]", index);
    return true;
}

/* ---- the whole ---- */

static bool print_text(struct view_query *query, struct error *error)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    if (query->predicate)
        predicate_print(&text, query->predicate);
    buffer_add_string(&text, query->sort_count ? ";" : "");
    for (size_t i = 0; i < query->sort_count; i++) {
        buffer_add_char(&text, query->sorts[i].descending ? '-' : '+');
        view_path_print(&text, &query->sorts[i].path);
    }
    if (buffer_string(&text))
        query->text = buffer_take(&text, &query->text_length);
    buffer_fini(&text);
    return query->text || out_of_memory(error);
}

static bool read_predicate(struct query_reading *reading, uint32_t filters, uint32_t where)
{
    struct view_query *query = reading->query;
    if (filters == DOC_NONE && where == DOC_NONE)
        return true;
    query->predicate = predicate_new(PREDICATE_ALL);
    if (!query->predicate)
        return out_of_memory(reading->error);
    if (filters != DOC_NONE && !read_filters(reading, filters))
        return error_prefix(reading->error, "\"filters\"");
    if (where != DOC_NONE && !read_where(reading, where))
        return error_prefix(reading->error, "\"where\"");
    return predicate_normalize(&query->predicate) || out_of_memory(reading->error);
}

static bool read_query(struct query_reading *reading, uint32_t object)
{
    uint32_t sort = doc_member(reading->doc, object, "sort");
    if (!read_predicate(reading, doc_member(reading->doc, object, "filters"),
                        doc_member(reading->doc, object, "where")))
        return false;
    if (sort != DOC_NONE && !read_sort(reading, sort))
        return error_prefix(reading->error, "\"sort\"");
    return print_text(reading->query, reading->error);
}

static bool fill(struct view_query *query, const struct view *view, struct span text,
                 const struct view_query_limits *limits, struct error *error)
{
    enum { DEPTH = 1000 };
    struct doc doc;
    uint32_t root;
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    struct query_reading reading = {
        .query = query, .doc = &doc, .view = view, .limits = limits, .error = error};
    bool good = doc_parse(&doc, text, DEPTH, &root, error) &&
                (doc.nodes[root].type == DOC_OBJECT ||
                 error_set(error, ERROR_CONFIGURATION, "a query is an object")) &&
                read_query(&reading, root);
    doc_fini(&doc);
    return good;
}

struct view_query *view_query_new(const struct view *view, struct span text,
                                  const struct view_query_limits *limits, struct error *error)
{
    struct error cause = {.code = ERROR_NONE};
    struct view_query *query = memory_new(sizeof *query);
    if (query)
        query->references = 1;
    if (query && fill(query, view && view->path_count ? view : NULL, text, limits, &cause))
        return query;
    if (!query)
        out_of_memory(&cause);
    view_query_unref(query);
    error_set(error, cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_PARAMETER, "%s",
              cause.message);
    return NULL;
}

/* ---- what it tells ---- */

struct view_query_traits view_query_traits(const struct view_query *query)
{
    if (!query)
        return (struct view_query_traits){.sorts = 0};
    return (struct view_query_traits){.text = span_make(query->text, query->text_length),
                                      .filters = query->predicate,
                                      .is_timed = query->predicate && query->predicate->timed,
                                      .sorts = query->sort_count};
}

bool view_query_holds(const struct view_query *query, struct span entity, int64_t now)
{
    return !query || !query->predicate || view_predicate_trace(query->predicate, entity, now, NULL);
}

int64_t view_query_rechecks(const struct view_query *query, struct span entity, int64_t now)
{
    return view_query_traits(query).is_timed ? predicate_rechecks(query->predicate, entity, now)
                                             : INT64_MAX;
}

struct view_query_sort view_query_sort(const struct view_query *query, size_t index)
{
    const struct query_key *key = &query->sorts[index];
    return (struct view_query_sort){
        .path = &key->path,
        .names = key->path.raw,
        .count = key->path.count,
        .descending = key->descending,
    };
}

bool view_query_sort_key(const struct view_query *query, struct span key, struct span entity,
                         struct buffer *sort_key)
{
    for (size_t i = 0; i < query->sort_count; i++)
        sort_key_value(sort_key, view_path_value(&query->sorts[i].path, entity),
                       query->sorts[i].descending);
    return buffer_add_span(sort_key, key);
}
