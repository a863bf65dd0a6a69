/* The steps of an explanation as JSON: what was found out, as far as it may be told. */
#include "explain/explain_internal.h"

#include <inttypes.h>

/* ---- pieces ---- */

static void begin(struct explaining *explaining, const char *step)
{
    buffer_printf(explaining->out, "%s{\"step\":\"%s\"", explaining->steps++ ? ",\n" : "\n", step);
}

static void end(struct explaining *explaining)
{
    buffer_add_char(explaining->out, '}');
}

/* `reached`: the row came so far. */
static void tell_verdict(struct explaining *explaining, bool reached, bool holds)
{
    if (!explaining->halted)
        buffer_printf(explaining->out, ",\"holds\":%s",
                      !reached ? "null"
                      : holds  ? "true"
                               : "false");
}

/* A step of which nothing may be told. What it decided for a row that is not in the view, and what
 * later steps did, would tell of it. */
static void tell_hidden(struct explaining *explaining)
{
    buffer_add_string(explaining->out, ",\"hidden\":true");
    explaining->halted |= !explaining->in_view;
}

static void tell_path(struct buffer *out, const struct span *names, size_t count)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(out, i ? "," : "");
        doc_escape(out, names[i]);
    }
    buffer_add_char(out, ']');
}

static void tell_seq(struct buffer *out, struct seq seq)
{
    char text[SEQ_SIZE];
    buffer_printf(out, ",\"seq\":\"%.*s\"", (int)seq_print(text, seq), text);
}

/* ---- the row itself ---- */

static void tell_label(struct buffer *out, struct span label)
{
    buffer_add_string(out, ",\"scope\":");
    if (span_equal(label, span_of(VIEW_SCOPE_PUBLIC)))
        buffer_add_string(out, "\"public\"");
    else if (span_equal(label, span_of(VIEW_SCOPE_NOBODY)))
        buffer_add_string(out, "\"nobody\"");
    else
        buffer_add_span(out, label);
}

static void tell_row(struct explaining *explaining, bool shown)
{
    const struct view *view = explaining->asked->view;
    begin(explaining, "row");
    tell_verdict(explaining, true, shown);
    if (shown) {
        tell_seq(explaining->out, explaining->seq);
        buffer_printf(explaining->out, ",\"change\":%" PRId64, explaining->change);
        if (view->scope &&
            view_scope_is_told(view->scope, buffer_span(&explaining->data), &explaining->sight))
            tell_label(explaining->out,
                       view_scope_label(view->scope, buffer_span(&explaining->data)));
    }
    end(explaining);
}

/* ---- stages ---- */

static void tell_filter(struct explaining *explaining, const struct explain_stage *it)
{
    struct span entity = buffer_span(&explaining->data);
    if (!it->stage->predicate)
        return;
    begin(explaining, "filter");
    bool told = view_predicate_is_told(it->stage->predicate, entity, &explaining->sight);
    if (!told)
        tell_hidden(explaining);
    tell_verdict(explaining, it->reached, it->holds);
    if (told) {
        buffer_add_string(explaining->out, ",\"predicate\":");
        view_predicate_trace(it->stage->predicate, entity, it->now, explaining->out);
    }
    end(explaining);
}

static void tell_sort(struct explaining *explaining, const struct explain_stage *it)
{
    const struct view_stage *stage = it->stage;
    struct span value;
    if (!stage->sort_path_count)
        return;
    begin(explaining, "sort");
    if (view_value_is_told(stage->sort, buffer_span(&explaining->data), &explaining->sight,
                           &value)) {
        buffer_add_string(explaining->out, ",\"by\":");
        tell_path(explaining->out, stage->sort_path, stage->sort_path_count);
        view_tell_value(explaining->out, "value", value);
    } else {
        tell_hidden(explaining);
    }
    buffer_printf(explaining->out, ",\"order\":\"%s\"", stage->descending ? "desc" : "asc");
    end(explaining);
}

/* A row that others stand at may be none of those that the asker sees. */
static bool may_see(const struct explaining *explaining, const struct explain_edge *edge, bool last)
{
    const struct explain *asked = explaining->asked;
    return edge->found && row_scope_shows(asked->scope, asked->view, buffer_span(&edge->data)) &&
           (asked->sees_others || (last && view_shows(asked->view, buffer_span(&edge->key))));
}

/* `shown`: the view shows the row. */
static void tell_sort_value(struct explaining *explaining, const struct view_stage *stage,
                            struct span data, bool shown)
{
    const struct view_sight sight = explain_sight(explaining, shown);
    struct span value;
    if (stage && stage->sort_path_count && view_value_is_told(stage->sort, data, &sight, &value))
        view_tell_value(explaining->out, "value", value);
}

static void tell_query_values(struct explaining *explaining, struct span data)
{
    const struct view_query *query = explaining->asked->query;
    size_t sorts = view_query_traits(query).sorts;
    buffer_add_string(explaining->out, sorts ? ",\"values\":[" : "");
    for (size_t i = 0; i < sorts; i++) {
        struct span value;
        bool told = view_value_is_told(view_query_sort(query, i).path, data,
                                       &explaining->asked->sight, &value) &&
                    value.data && value.length <= VIEW_TOLD_VALUE;
        buffer_add_string(explaining->out, i ? "," : "");
        buffer_add_span(explaining->out, told ? value : span_of("null"));
    }
    buffer_add_string(explaining->out, sorts ? "]" : "");
}

/* `stage`: whose order counts; NULL: the query's, or the export's. `last`: its cut is the view's.
 */
static void tell_edge(struct explaining *explaining, const char *name,
                      const struct explain_edge *edge, const struct view_stage *stage, bool last,
                      bool *any)
{
    bool shown = last && view_shows(explaining->asked->view, buffer_span(&edge->key));
    buffer_printf(explaining->out, "%s\"%s\":{\"key\":", *any ? "," : ",\"edges\":{", name);
    doc_escape(explaining->out, buffer_span(&edge->key));
    if (view_query_traits(explaining->asked->query).sorts && !stage)
        tell_query_values(explaining, buffer_span(&edge->data));
    tell_sort_value(explaining, stage, buffer_span(&edge->data), shown);
    buffer_add_char(explaining->out, '}');
    *any = true;
}

static bool tell_cut_edges(struct explaining *explaining, const struct explain_stage *it, bool last)
{
    const struct view_cut *cut = &it->stage->cut;
    struct explain_edge first, final;
    bool any = false;
    explain_edge_init(&first);
    explain_edge_init(&final);
    bool done = cut->last
                    ? explain_find_rank(explaining, it, -1, &final)
                    : cut->take == 0 ||
                          (explain_find_rank(explaining, it, cut->skip, &first) &&
                           (cut->take == VIEW_ALL ||
                            explain_find_rank(explaining, it, cut->skip + cut->take - 1, &final)));
    /* Fewer rows than it takes: the last one is the stage's. */
    if (done && first.found && !final.found)
        done = explain_find_rank(explaining, it, -1, &final);
    if (done && may_see(explaining, &first, last))
        tell_edge(explaining, "first", &first, it->stage, last, &any);
    if (done && may_see(explaining, &final, last))
        tell_edge(explaining, "last", &final, it->stage, last, &any);
    buffer_add_string(explaining->out, any ? "}" : "");
    explain_edge_fini(&first);
    explain_edge_fini(&final);
    return done;
}

/* `last`: the view's own cut, whose rows are the view's. */
static bool tell_cut(struct explaining *explaining, const struct explain_stage *it, bool last)
{
    const struct view_cut *cut = &it->stage->cut;
    if (!it->stage->has_cut)
        return true;
    begin(explaining, "cut");
    if (cut->last) {
        buffer_add_string(explaining->out, ",\"last\":true");
    } else {
        buffer_printf(explaining->out, ",\"skip\":%" PRId64, cut->skip);
        if (cut->take != VIEW_ALL)
            buffer_printf(explaining->out, ",\"take\":%" PRId64, cut->take);
    }
    tell_verdict(explaining, it->present, it->passes);
    if (it->present && !explaining->halted && !explain_is_scoped(explaining))
        buffer_printf(explaining->out, ",\"rank\":%" PRId64, it->rank);
    bool done = explaining->halted || tell_cut_edges(explaining, it, last);
    end(explaining);
    return done;
}

static bool tell_stages(struct explaining *explaining)
{
    bool done = true;
    for (size_t i = 0; done && i < explaining->stage_count; i++) {
        const struct explain_stage *it = &explaining->stages[i];
        /* A stage over a cut goes on in the order of that, which is not said again. */
        bool sorted = i == 0 ||
                      it->stage->descending != explaining->stages[i - 1].stage->descending ||
                      it->stage->sort_path != explaining->stages[i - 1].stage->sort_path;
        tell_filter(explaining, it);
        if (sorted)
            tell_sort(explaining, it);
        done = tell_cut(explaining, it, i + 1 == explaining->stage_count);
    }
    return done;
}

/* ---- the view and the query ---- */

static void tell_keys(struct explaining *explaining)
{
    const struct view *view = explaining->asked->view;
    if (!view->key_count)
        return;
    begin(explaining, "keys");
    tell_verdict(explaining, explaining->in_stages, view_shows(view, explaining->asked->key));
    end(explaining);
}

static void tell_keyed(struct explaining *explaining)
{
    const struct view *view = explaining->asked->view;
    struct span data = buffer_span(&explaining->data);
    if (!explaining->keyed)
        return;
    begin(explaining, "keyed_by");
    if (view_key_value_is_told(view, data, &explaining->sight)) {
        buffer_add_string(explaining->out, ",\"by\":[");
        for (size_t i = 0; i < view->key_field_count; i++) {
            buffer_add_string(explaining->out, i ? ",\"" : "\"");
            buffer_add_span(explaining->out, view->key_field[i]);
            buffer_add_char(explaining->out, '"');
        }
        buffer_add_char(explaining->out, ']');
        view_tell_value(explaining->out, "value", view_key_value(view, data));
    } else {
        tell_hidden(explaining);
    }
    tell_verdict(explaining, explaining->in_view && explaining->key_known, explaining->key_first);
    if (explaining->first_key.length && !explaining->halted) {
        buffer_add_string(explaining->out, ",\"first\":");
        doc_escape(explaining->out, buffer_span(&explaining->first_key));
    }
    if (!explaining->key_known)
        buffer_add_string(explaining->out,
                          ",\"why\":\"more rows stand before it than may be looked at\"");
    end(explaining);
}

static void tell_where(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    const struct view_predicate *filters = view_query_traits(asked->query).filters;
    if (!filters)
        return;
    begin(explaining, "where");
    bool told = view_predicate_is_told(filters, buffer_span(&explaining->data), &explaining->sight);
    if (!told)
        tell_hidden(explaining);
    tell_verdict(explaining, explaining->in_view, explaining->where);
    if (told) {
        buffer_add_string(explaining->out, ",\"predicate\":");
        view_predicate_trace(filters, buffer_span(&explaining->data), asked->now, explaining->out);
    }
    end(explaining);
}

static void tell_order(struct explaining *explaining)
{
    const struct view_query *query = explaining->asked->query;
    size_t sorts = view_query_traits(query).sorts;
    if (!sorts)
        return;
    begin(explaining, "order");
    buffer_add_string(explaining->out, ",\"keys\":[");
    for (size_t i = 0; i < sorts; i++) {
        const struct view_query_sort sort = view_query_sort(query, i);
        buffer_add_string(explaining->out, i ? ",{\"by\":" : "{\"by\":");
        tell_path(explaining->out, sort.names, sort.count);
        buffer_printf(explaining->out, ",\"order\":\"%s\"", sort.descending ? "desc" : "asc");
        struct span value;
        if (view_value_is_told(sort.path, buffer_span(&explaining->data), &explaining->sight,
                               &value))
            view_tell_value(explaining->out, "value", value);
        else
            tell_hidden(explaining);
        buffer_add_char(explaining->out, '}');
    }
    buffer_add_char(explaining->out, ']');
    end(explaining);
}

static void tell_part(struct explaining *explaining)
{
    const struct explain *asked = explaining->asked;
    const struct explain_part *part = &explaining->part;
    bool reached = explaining->in_view && explaining->where, any = false;
    const struct view_stage *stage =
        view_query_traits(asked->query).sorts ? NULL : asked->view->stage;
    if (!part->wanted)
        return;
    begin(explaining, "part");
    buffer_printf(explaining->out, ",\"skip\":%" PRId64, asked->skip);
    if (asked->take != VIEW_ALL)
        buffer_printf(explaining->out, ",\"take\":%" PRId64, asked->take);
    tell_verdict(explaining, reached && part->known, part->holds);
    if (reached && part->ranked && !explaining->halted)
        buffer_printf(explaining->out, ",\"rank\":%" PRId64, part->rank);
    if (reached && !part->known && !explaining->halted)
        buffer_add_string(explaining->out,
                          ",\"why\":\"more rows stand before it than may be looked at\"");
    if (part->first.found)
        tell_edge(explaining, "first", &part->first, stage, true, &any);
    if (part->last.found)
        tell_edge(explaining, "last", &part->last, stage, true, &any);
    buffer_add_string(explaining->out, any ? "}" : "");
    end(explaining);
}

static bool tell_fields(struct explaining *explaining)
{
    const struct view *view = explaining->asked->view;
    if (!view->path_count)
        return true;
    begin(explaining, "fields");
    buffer_add_string(explaining->out, ",\"fields\":[");
    for (size_t i = 0; i < view->path_count; i++) {
        buffer_add_string(explaining->out, i ? ",\"" : "\"");
        buffer_add_span(explaining->out, view->paths[i]);
        buffer_add_char(explaining->out, '"');
    }
    buffer_add_string(explaining->out, "],\"hidden\":[");
    bool done =
        view_tell_hidden(view, buffer_span(&explaining->data), &explaining->sight, explaining->out);
    buffer_add_char(explaining->out, ']');
    end(explaining);
    return done || explain_lacks_memory(explaining);
}

/* ---- the whole ---- */

static void tell_head(struct explaining *explaining, bool shown)
{
    const struct view_state *state = &explaining->state;
    struct buffer *out = explaining->out;
    buffer_add_string(out, "{\"view\":");
    doc_escape(out, span_of(explaining->asked->view->id));
    buffer_add_string(out, ",\"key\":");
    doc_escape(out, explaining->asked->key);
    buffer_printf(out, ",\"position\":%" PRId64, state->found ? state->export.last_change : 0);
    if (state->found && state->export.last_change)
        tell_seq(out, view_state_cursor(state));
    buffer_printf(out, ",\"in\":%s,\"steps\":[",
                  shown && !explaining->known ? "null"
                  : shown && explaining->in   ? "true"
                                              : "false");
}

bool explain_tell(struct explaining *explaining)
{
    bool shown = explaining->found && (explaining->in_view || explaining->asked->sees_others);
    bool done = true;
    tell_head(explaining, shown);
    tell_row(explaining, shown);
    if (shown) {
        done = tell_stages(explaining);
        tell_keys(explaining);
        tell_keyed(explaining);
        tell_where(explaining);
        tell_order(explaining);
        tell_part(explaining);
        done = done && tell_fields(explaining);
    }
    buffer_add_char(explaining->out, ']');
    done = done && explain_since(explaining);
    buffer_add_string(explaining->out, "}\n");
    return done && (!explaining->out->failed || explain_lacks_memory(explaining));
}
