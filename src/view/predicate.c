/* Predicates: their life, whether they hold, and when time may change that. */
#include "view/view_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- life ---- */

struct view_predicate *predicate_new(enum predicate_kind kind)
{
    struct view_predicate *predicate = memory_new(sizeof *predicate);
    if (predicate) {
        predicate->references = 1;
        predicate->kind = kind;
    }
    return predicate;
}

struct view_predicate *predicate_ref(struct view_predicate *predicate)
{
    if (predicate)
        predicate->references++;
    return predicate;
}

void predicate_unref(struct view_predicate *predicate)
{
    if (!predicate || --predicate->references > 0)
        return;
    for (size_t i = 0; i < predicate->child_count; i++)
        predicate_unref(predicate->children[i]);
    memory_free(predicate->children);
    view_path_fini(&predicate->path);
    view_path_fini(&predicate->field);
    memory_free((void *)(uintptr_t)predicate->literal.data);
    memory_free(predicate);
}

bool predicate_add(struct view_predicate *predicate, struct view_predicate *child)
{
    if (predicate->child_count == predicate->child_capacity) {
        size_t capacity = predicate->child_capacity ? predicate->child_capacity * 2 : 4;
        struct view_predicate **children =
            memory_resize(predicate->children, capacity * sizeof *children);
        if (!children)
            return false;
        predicate->children = children;
        predicate->child_capacity = capacity;
    }
    predicate->children[predicate->child_count++] = child;
    predicate->timed |= child->timed;
    return true;
}

/* The parts of a conjunction, one level deep, so that its text does not tell how it came about. */
static bool add_parts(struct view_predicate *all, struct view_predicate *part)
{
    if (part->kind != PREDICATE_ALL) {
        if (predicate_add(all, predicate_ref(part)))
            return true;
        predicate_unref(part);
        return false;
    }
    for (size_t i = 0; i < part->child_count; i++)
        if (!add_parts(all, part->children[i]))
            return false;
    return true;
}

struct view_predicate *predicate_and(struct view_predicate *left, struct view_predicate *right,
                                     bool *failed)
{
    *failed = false;
    if (!left || !right)
        return predicate_ref(left ? left : right);
    struct view_predicate *all = predicate_new(PREDICATE_ALL);
    if (all && add_parts(all, left) && add_parts(all, right))
        return all;
    predicate_unref(all);
    *failed = true;
    return NULL;
}

/* ---- truth ---- */

static bool is_string(struct span value)
{
    return value.length > 1 && value.data[0] == '"';
}

/* Canonical text escapes a character in one way only, so the bytes of it tell. */
static bool begins_with(struct span value, struct span prefix)
{
    return is_string(value) && is_string(prefix) && value.length >= prefix.length &&
           memcmp(value.data, prefix.data, prefix.length - 1) == 0;
}

static bool contains(struct span value, struct span part)
{
    if (!value.length || value.data[0] != '{')
        return doc_array_has(value, part);
    struct span name = doc_bare(part);
    return is_string(part) && doc_value_at(value, &name, 1).data != NULL;
}

static bool is_ordered(enum predicate_relation relation, struct span left, struct span right)
{
    enum doc_kind kind = doc_order_kind(left);
    if (kind != doc_order_kind(right) || kind < DOC_KIND_BOOLEAN || kind > DOC_KIND_STRING)
        return false;
    int order = doc_kind_compare(kind, left, right);
    switch (relation) {
    case RELATION_GT:
        return order > 0;
    case RELATION_GTE:
        return order >= 0;
    case RELATION_LT:
        return order < 0;
    default:
        return order <= 0;
    }
}

static bool compare_holds(enum predicate_relation relation, struct span left, struct span right)
{
    switch (relation) {
    case RELATION_EQ:
    case RELATION_NE:
        return doc_value_equal(left, right) == (relation == RELATION_EQ);
    case RELATION_IN:
        return doc_array_has(right, left);
    case RELATION_PREFIX:
        return begins_with(left, right);
    case RELATION_CONTAINS:
        return contains(left, right);
    default:
        return is_ordered(relation, left, right);
    }
}

/* All functions of an evaluation append to `trace` what they saw and decided, unless it is NULL. */
static bool compare(const struct view_predicate *predicate, struct span entity, int64_t now,
                    struct buffer *trace)
{
    char text[24];
    struct span left = view_path_value(&predicate->path, entity), right;
    switch (predicate->operand) {
    case OPERAND_LITERAL:
        right = predicate->literal;
        break;
    case OPERAND_FIELD:
        right = view_path_value(&predicate->field, entity);
        break;
    default:
        right = span_make(text, (size_t)snprintf(text, sizeof text, "%" PRId64, now));
        break;
    }
    if (trace)
        view_tell_value(trace, "value", left);
    if (trace && predicate->operand != OPERAND_LITERAL)
        view_tell_value(trace, "operand", right);
    return compare_holds(predicate->relation, left, right);
}

/* A trace has all parts, also those behind the one that decides. */
static bool evaluate_parts(const struct view_predicate *predicate, struct span entity, int64_t now,
                           struct buffer *trace)
{
    bool any = predicate->kind == PREDICATE_ANY, decided = false;
    for (size_t i = 0; i < predicate->child_count && (trace || !decided); i++) {
        if (trace && i > 0)
            buffer_add_char(trace, ',');
        decided |= view_predicate_trace(predicate->children[i], entity, now, trace) == any;
    }
    return decided == any;
}

static bool evaluate(const struct view_predicate *predicate, struct span entity, int64_t now,
                     struct buffer *trace)
{
    switch (predicate->kind) {
    case PREDICATE_COMPARE:
        return compare(predicate, entity, now, trace);
    case PREDICATE_NOT:
        return !view_predicate_trace(predicate->children[0], entity, now, trace);
    case PREDICATE_ALL:
    case PREDICATE_ANY:
        return evaluate_parts(predicate, entity, now, trace);
    case PREDICATE_EXISTS:
        break;
    }
    struct span value = view_path_value(&predicate->path, entity);
    if (trace)
        view_tell_value(trace, "value", value);
    return value.data != NULL;
}

static bool predicate_holds(const struct view_predicate *predicate, struct span entity, int64_t now)
{
    return view_predicate_trace(predicate, entity, now, NULL);
}

bool view_predicate_trace(const struct view_predicate *predicate, struct span entity, int64_t now,
                          struct buffer *trace)
{
    static const char *const heads[] = {
        [PREDICATE_ALL] = "\"all\":[", [PREDICATE_ANY] = "\"any\":[", [PREDICATE_NOT] = "\"not\":"};
    bool leaf = predicate->kind == PREDICATE_COMPARE || predicate->kind == PREDICATE_EXISTS;
    if (!trace)
        return evaluate(predicate, entity, now, NULL);
    buffer_add_char(trace, '{');
    if (leaf)
        predicate_tell_leaf(trace, predicate);
    else
        buffer_add_string(trace, heads[predicate->kind]);
    bool holds = evaluate(predicate, entity, now, trace);
    buffer_add_string(trace, leaf || predicate->kind == PREDICATE_NOT ? "" : "]");
    buffer_printf(trace, ",\"holds\":%s}", holds ? "true" : "false");
    return holds;
}

/* ---- time ---- */

static int64_t later(int64_t second, int64_t now)
{
    return second > now ? second : INT64_MAX;
}

/* When a comparison of this value with the time changes: on reaching it, on passing it, or both. */
static int64_t compare_turns(const struct view_predicate *predicate, struct span value, int64_t now)
{
    bool typed = predicate->relation == RELATION_EQ || predicate->relation == RELATION_NE;
    enum doc_kind kind = typed ? doc_kind_of(value) : doc_order_kind(value);
    if (predicate->operand != OPERAND_NOW || kind != DOC_KIND_NUMBER)
        return INT64_MAX;
    bool whole;
    int64_t floor = doc_decimal_floor(doc_decimal_of(value), &whole);
    if (floor == INT64_MAX)
        return INT64_MAX;
    int64_t reached = whole ? floor : floor + 1, passed = floor + 1;
    switch (predicate->relation) {
    case RELATION_EQ:
    case RELATION_NE:
        if (!whole)
            return INT64_MAX;
        return reached > now ? reached : later(passed, now);
    case RELATION_GT:
    case RELATION_LTE:
        return later(reached, now);
    default:
        return later(passed, now);
    }
}

int64_t predicate_rechecks(const struct view_predicate *predicate, struct span entity, int64_t now)
{
    if (!predicate->timed)
        return INT64_MAX;
    if (predicate->kind == PREDICATE_COMPARE) {
        struct span value = view_path_value(&predicate->path, entity);
        return compare_turns(predicate, value, now);
    }
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < predicate->child_count; i++) {
        int64_t turns = predicate_rechecks(predicate->children[i], entity, now);
        first = turns < first ? turns : first;
    }
    return first;
}

bool view_stage_holds(const struct view_stage *stage, struct span entity, int64_t now)
{
    return !stage->predicate || predicate_holds(stage->predicate, entity, now);
}

bool view_stage_is_timed(const struct view_stage *stage)
{
    while (stage && !stage->timed)
        stage = stage->source;
    return stage != NULL;
}

int64_t view_stage_rechecks(const struct view_stage *stage, struct span entity, int64_t now)
{
    return stage->timed ? predicate_rechecks(stage->predicate, entity, now) : INT64_MAX;
}

bool predicate_set_literal_text(struct view_predicate *predicate, struct span text,
                                struct error *error)
{
    predicate->operand = OPERAND_LITERAL;
    predicate->literal = span_make(memory_copy_string(text.data, text.length), text.length);
    return predicate->literal.data || error_set(error, ERROR_MEMORY, "no memory for a predicate");
}
