#include "cli/ingest_line.h"

enum { DEPTH_LIMIT = 1000 }; /* the server has its own, smaller limit */

/* ---- the members of an object, in text that is known to be valid JSON ---- */

static size_t skip_blank(struct span text, size_t at)
{
    while (at < text.length && (text.data[at] == ' ' || text.data[at] == '\t' ||
                                text.data[at] == '\r' || text.data[at] == '\n'))
        at++;
    return at;
}

static size_t skip_string(struct span text, size_t at)
{
    for (at++; at < text.length && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at + 1;
}

/* To the comma or closing bracket behind a value. */
static size_t skip_value(struct span text, size_t at)
{
    int depth = 0;
    while (at < text.length) {
        char c = text.data[at];
        if (c == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}'))
            break;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        at++;
    }
    return at;
}

/* The position of the member "id", together with the one comma that must go with it. */
static void find_id(struct span text, struct ingest_line *look)
{
    size_t at = skip_blank(text, 0) + 1;
    bool first = true;
    for (;;) {
        size_t start = at;
        at = skip_blank(text, at);
        if (at >= text.length || text.data[at] == '}')
            return;
        size_t name_end = skip_string(text, at);
        struct span name = span_make(text.data + at, name_end - at);
        at = skip_value(text, skip_blank(text, name_end) + 1);
        bool last = at >= text.length || text.data[at] == '}';
        if (span_equal(name, span_of("\"id\""))) {
            look->id_from = first ? start : start - 1;
            look->id_to = first && !last ? at + 1 : at;
            return;
        }
        if (last)
            return;
        at++;
        first = false;
    }
}

/* ---- a line ---- */

static bool is_blank(struct span line)
{
    return skip_blank(line, 0) == line.length;
}

struct ingest_line ingest_line_look(struct span line, struct doc *scratch, struct error *error)
{
    struct ingest_line look = {.kind = INGEST_BLANK};
    uint32_t root;
    if (is_blank(line))
        return look;
    doc_clear(scratch);
    if (!doc_parse(scratch, line, DEPTH_LIMIT, &root, error)) {
        look.kind = INGEST_NOT_JSON;
        return look;
    }
    look.kind = INGEST_MUTATION;
    if (scratch->nodes[root].type != DOC_OBJECT ||
        doc_member(scratch, root, "mutations") == DOC_NONE)
        return look;
    look.kind = INGEST_BATCH;
    look.mutations = scratch->nodes[doc_member(scratch, root, "mutations")].count;
    /* A name without a number, or the other way round, is the server's to refuse: adding the
     * missing half would make something of it that nobody wrote. */
    look.has_producer = doc_member(scratch, root, "producer") != DOC_NONE ||
                        doc_member(scratch, root, "batch") != DOC_NONE;
    if (doc_member(scratch, root, "id") != DOC_NONE)
        find_id(line, &look);
    return look;
}

bool ingest_line_print_batch(struct buffer *out, struct span line, const struct ingest_line *look,
                             uint64_t id, const char *producer, int64_t number, const char *mark)
{
    size_t inside = skip_blank(line, 0) + 1;
    buffer_printf(out, "{\"id\":%llu,", (unsigned long long)id);
    if (!look->has_producer) {
        buffer_add_string(out, "\"producer\":");
        doc_escape(out, span_of(producer));
        buffer_printf(out, ",\"batch\":%lld,", (long long)number);
        if (*mark)
            buffer_printf(out, "\"mark\":\"%s\",", mark);
    }
    if (look->id_to > look->id_from) {
        buffer_add(out, line.data + inside, look->id_from - inside);
        inside = look->id_to;
    }
    return buffer_add(out, line.data + inside, line.length - inside);
}

/* ---- an answer ---- */

static uint64_t count_of(const struct tree *answer, const char *name)
{
    return (uint64_t)tree_integer(tree_member(answer, name), 0);
}

bool ingest_answer_read(struct span message, struct ingest_answer *answer)
{
    *answer = (struct ingest_answer){0};
    struct tree *tree = tree_parse(message, NULL);
    const struct tree *accepted = tree ? tree_member(tree, "ack") : NULL;
    const struct tree *refused = tree ? tree_member(tree, "nack") : NULL;
    /* A message about the connection as a whole is an error message like any other. */
    const struct tree *error = tree && !refused ? tree : tree_member(tree, "error");
    if (!tree || (!accepted && !refused && !tree_member(tree, "code"))) {
        tree_free(tree);
        return false;
    }
    answer->tree = tree;
    answer->refused = !accepted;
    answer->id = (uint64_t)tree_integer(accepted ? accepted : refused, 0);
    answer->applied = count_of(tree, "applied");
    answer->ignored = count_of(tree, "ignored");
    answer->duplicate = count_of(tree, "duplicate");
    answer->stale = count_of(tree, "stale");
    answer->truncated = count_of(tree, "truncated");
    answer->last_batch = tree_integer(tree_member(tree, "last_batch"), -1);
    answer->has_last = answer->last_batch >= 0;
    answer->mark = tree_string(tree_member(tree, "mark"));
    answer->unknown_exports = tree_member(tree, "unknown_exports");
    answer->retryable = tree_boolean(tree_member(error, "retryable"), false);
    answer->code = tree_string(tree_member(error, "code"));
    answer->message = tree_string(tree_member(error, "message"));
    return true;
}
