/* The text of predicates: the canonical one, and one for people. */
#include "view/view_internal.h"

const char *const predicate_relations[] = {"eq",  "ne", "gt",     "gte",      "lt",
                                           "lte", "in", "prefix", "contains", NULL};

/* For people a path of one name is that name, where it has no dot. */
static void tell_path(struct buffer *out, const struct view_path *path)
{
    if (path->count != 1 || memchr(path->names[0].data, '.', path->names[0].length)) {
        view_path_print(out, path);
        return;
    }
    buffer_add_char(out, '"');
    buffer_add_span(out, path->names[0]);
    buffer_add_char(out, '"');
}

/* `told`: for people, so with literals as they were given; else the canonical text. */
static void print_compare(struct buffer *out, const struct view_predicate *predicate, bool told)
{
    void (*print)(struct buffer *, const struct view_path *) = told ? tell_path : view_path_print;
    buffer_add_string(out, "\"field\":");
    print(out, &predicate->path);
    buffer_printf(out, ",\"%s\":", predicate_relations[predicate->relation]);
    switch (predicate->operand) {
    case OPERAND_LITERAL:
        if (told)
            buffer_add_span(out, predicate->literal);
        else
            (predicate->relation == RELATION_IN ? doc_array_normal_set
                                                : doc_value_normal)(out, predicate->literal);
        break;
    case OPERAND_FIELD:
        buffer_add_string(out, "{\"field\":");
        print(out, &predicate->field);
        buffer_add_char(out, '}');
        break;
    case OPERAND_NOW:
        buffer_add_string(out, "{\"now\":true}");
        break;
    }
}

void predicate_tell_leaf(struct buffer *out, const struct view_predicate *predicate)
{
    if (predicate->kind == PREDICATE_COMPARE) {
        print_compare(out, predicate, true);
        return;
    }
    buffer_add_string(out, "\"exists\":");
    tell_path(out, &predicate->path);
}

static void print_children(struct buffer *out, const struct view_predicate *predicate)
{
    buffer_add_char(out, '[');
    for (size_t i = 0; i < predicate->child_count; i++) {
        buffer_add_string(out, i > 0 ? "," : "");
        predicate_print(out, predicate->children[i]);
    }
    buffer_add_char(out, ']');
}

bool predicate_print(struct buffer *out, const struct view_predicate *predicate)
{
    switch (predicate->kind) {
    case PREDICATE_COMPARE:
        buffer_add_char(out, '{');
        print_compare(out, predicate, false);
        break;
    case PREDICATE_EXISTS:
        buffer_add_string(out, "{\"exists\":");
        view_path_print(out, &predicate->path);
        break;
    case PREDICATE_ALL:
    case PREDICATE_ANY:
        buffer_add_string(out, predicate->kind == PREDICATE_ALL ? "{\"all\":" : "{\"any\":");
        print_children(out, predicate);
        break;
    case PREDICATE_NOT:
        buffer_add_string(out, "{\"not\":");
        predicate_print(out, predicate->children[0]);
        break;
    }
    return buffer_add_char(out, '}');
}
