/* An explanation as text: a line for each step, conditions below them. */
#include "cli/explain.h"
#include "terminal/terminal.h"
#include "json/json.h"

#include <time.h>

enum { ANSWER_DEPTH = 1200, NAME_WIDTH = 9, VERDICT_WIDTH = 8, INDENT = 2 };

struct printing {
    FILE *out;
    const struct doc *doc;
};

/* ---- pieces ---- */

static struct span member(const struct printing *printing, uint32_t object, const char *name)
{
    uint32_t node = doc_member(printing->doc, object, name);
    return node == DOC_NONE ? span_make(NULL, 0) : doc_text(printing->doc, node);
}

static void put(const struct printing *printing, struct span text)
{
    output_text(printing->out, text);
}

/* A string without its quotes, where it can be read as well so. */
static void put_name(const struct printing *printing, struct span text)
{
    bool string = text.data && text.length >= 2 && text.data[0] == '"';
    put(printing, string ? span_make(text.data + 1, text.length - 2) : text);
}

/* Path of names: ["a","b"] as a.b; a dotted text as it is. */
static void put_path(const struct printing *printing, uint32_t node)
{
    const struct doc *doc = printing->doc;
    if (doc->nodes[node].type != DOC_ARRAY) {
        put_name(printing, doc_text(doc, node));
        return;
    }
    const char *between = "";
    for (uint32_t at = doc_first(doc, node); at != DOC_NONE && at < doc->nodes[node].end;
         at = doc->nodes[at].end) {
        fputs(between, printing->out);
        put_name(printing, doc_text(doc, at));
        between = ".";
    }
}

static void put_time(const struct printing *printing, uint32_t object)
{
    uint32_t node = doc_member(printing->doc, object, "time");
    int64_t ms;
    char text[32];
    struct tm parts;
    if (node == DOC_NONE || !doc_integer(printing->doc, node, &ms))
        return;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    fprintf(printing->out, " at %s", text);
}

static const char *verdict(const struct printing *printing, uint32_t object)
{
    struct span holds = member(printing, object, "holds");
    return !holds.data                           ? ""
           : span_equal(holds, span_of("true"))  ? "yes"
           : span_equal(holds, span_of("false")) ? "no"
                                                 : "-";
}

/* "value" or "value_bytes"; also of "operand". */
static bool put_value(const struct printing *printing, uint32_t object, const char *before,
                      const char *name)
{
    char long_name[32];
    snprintf(long_name, sizeof long_name, "%s_bytes", name);
    struct span value = member(printing, object, name), bytes = member(printing, object, long_name);
    if (!value.data && !bytes.data)
        return false;
    fputs(before, printing->out);
    put(printing, value.data ? value : bytes);
    fputs(value.data ? "" : " bytes", printing->out);
    return true;
}

/* ---- conditions ---- */

static const char *const relations[] = {"eq",  "ne", "gt",     "gte",      "lt",
                                        "lte", "in", "prefix", "contains", NULL};

static void print_head(const struct printing *printing, uint32_t predicate, int depth)
{
    int indent = INDENT + NAME_WIDTH + 1 + depth * 2;
    fprintf(printing->out, "%*s%-*s ", indent, "", VERDICT_WIDTH / 2, verdict(printing, predicate));
}

static void print_compare(const struct printing *printing, uint32_t predicate)
{
    put_path(printing, doc_member(printing->doc, predicate, "field"));
    for (size_t i = 0; relations[i]; i++) {
        uint32_t operand = doc_member(printing->doc, predicate, relations[i]);
        if (operand == DOC_NONE)
            continue;
        fprintf(printing->out, " %s ", relations[i]);
        put(printing, doc_text(printing->doc, operand));
    }
    put_value(printing, predicate, " = ", "operand");
    if (!put_value(printing, predicate, ": it is ", "value"))
        fputs(": it is not there", printing->out);
}

static void print_predicate(const struct printing *printing, uint32_t predicate, int depth);

static void print_parts(const struct printing *printing, uint32_t list, int depth)
{
    const struct doc *doc = printing->doc;
    for (uint32_t at = doc_first(doc, list); at != DOC_NONE && at < doc->nodes[list].end;
         at = doc->nodes[at].end)
        print_predicate(printing, at, depth);
}

static void print_predicate(const struct printing *printing, uint32_t predicate, int depth)
{
    static const char *const groups[] = {"all", "any", "not"};
    static const char *const words[] = {"all of", "one of", "not"};
    uint32_t exists = doc_member(printing->doc, predicate, "exists");
    print_head(printing, predicate, depth);
    if (exists != DOC_NONE) {
        put_path(printing, exists);
        fputs(" is there\n", printing->out);
        return;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        uint32_t part = doc_member(printing->doc, predicate, groups[i]);
        if (part == DOC_NONE)
            continue;
        fprintf(printing->out, "%s\n", words[i]);
        if (i < 2)
            print_parts(printing, part, depth + 1);
        else
            print_predicate(printing, part, depth + 1);
        return;
    }
    print_compare(printing, predicate);
    fputc('\n', printing->out);
}

/* ---- steps ---- */

static void print_order(const struct printing *printing, uint32_t key)
{
    uint32_t by = doc_member(printing->doc, key, "by");
    if (by != DOC_NONE)
        put_path(printing, by);
    fputc(' ', printing->out);
    put_name(printing, member(printing, key, "order"));
    if (by != DOC_NONE && !put_value(printing, key, ": it is ", "value"))
        fputs(": it is not there", printing->out);
}

static void print_orders(const struct printing *printing, uint32_t step)
{
    const struct doc *doc = printing->doc;
    uint32_t keys = doc_member(doc, step, "keys");
    const char *between = "";
    for (uint32_t at = keys == DOC_NONE ? DOC_NONE : doc_first(doc, keys);
         at != DOC_NONE && at < doc->nodes[keys].end; at = doc->nodes[at].end) {
        fputs(between, printing->out);
        print_order(printing, at);
        between = "; ";
    }
}

static void print_edge(const struct printing *printing, uint32_t edges, const char *name)
{
    uint32_t edge = doc_member(printing->doc, edges, name);
    if (edge == DOC_NONE)
        return;
    fprintf(printing->out, "; %s ", name);
    put(printing, member(printing, edge, "key"));
    put_value(printing, edge, " with ", "value");
    put_value(printing, edge, " with ", "values");
}

static void print_cut(const struct printing *printing, uint32_t step)
{
    uint32_t edges = doc_member(printing->doc, step, "edges");
    if (member(printing, step, "last").data)
        fputs("the last row", printing->out);
    put_value(printing, step, "skip ", "skip");
    put_value(printing, step, ", take ", "take");
    put_value(printing, step, "; its rank is ", "rank");
    if (edges != DOC_NONE) {
        print_edge(printing, edges, "first");
        print_edge(printing, edges, "last");
    }
}

static void print_row(const struct printing *printing, uint32_t step)
{
    if (!put_value(printing, step, "change ", "change")) {
        fputs("there is none of that key", printing->out);
        return;
    }
    fputs(", seq ", printing->out);
    put_name(printing, member(printing, step, "seq"));
    put_value(printing, step, ", scope ", "scope");
}

static void print_keyed(const struct printing *printing, uint32_t step)
{
    uint32_t by = doc_member(printing->doc, step, "by");
    if (by != DOC_NONE)
        put_path(printing, by);
    if (!put_value(printing, step, ": it is ", "value"))
        fputs(": it is not there", printing->out);
    put_value(printing, step, "; the first row with it is ", "first");
}

static void print_fields(const struct printing *printing, uint32_t step)
{
    put_value(printing, step, "it shows ", "fields");
    put_value(printing, step, "; hidden are ", "hidden");
}

static void print_details(const struct printing *printing, struct span name, uint32_t step)
{
    static const struct {
        const char *name;
        void (*print)(const struct printing *printing, uint32_t step);
    } steps[] = {{"row", print_row},      {"sort", print_order}, {"cut", print_cut},
                 {"order", print_orders}, {"part", print_cut},   {"keyed_by", print_keyed},
                 {"fields", print_fields}};
    if (member(printing, step, "hidden").data && !span_equal(name, span_of("fields")))
        fputs("not for you to see ", printing->out);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (span_equal(name, span_of(steps[i].name)))
            steps[i].print(printing, step);
    struct span why = member(printing, step, "why");
    if (why.data)
        fputs("; ", printing->out);
    put_name(printing, why);
}

static void print_step(const struct printing *printing, uint32_t step)
{
    uint32_t predicate = doc_member(printing->doc, step, "predicate");
    struct span name = doc_bare(member(printing, step, "step"));
    int filling = name.length < NAME_WIDTH ? NAME_WIDTH - (int)name.length : 0;
    fprintf(printing->out, "%*s", INDENT, "");
    put(printing, name);
    fprintf(printing->out, "%*s %-*s ", filling, "", VERDICT_WIDTH / 2, verdict(printing, step));
    print_details(printing, name, step);
    fputc('\n', printing->out);
    if (predicate != DOC_NONE)
        print_predicate(printing, predicate, 0);
}

/* ---- since when ---- */

static void print_since(const struct printing *printing, uint32_t since)
{
    fprintf(printing->out, "%*s%-*s ", INDENT, "", NAME_WIDTH, "since");
    if (!span_equal(member(printing, since, "known"), span_of("true"))) {
        fputs("no move found: ", printing->out);
        put_name(printing, member(printing, since, "why"));
        fputc('\n', printing->out);
        return;
    }
    struct span by = doc_bare(member(printing, since, "by"));
    if (span_equal(by, span_of("time"))) {
        fputs("time alone", printing->out);
    } else {
        put_value(printing, since, "change ", "change");
        fputs(span_equal(by, span_of("another")) ? " of another row" : " of the row",
              printing->out);
        put_value(printing, since, ", ", "op");
        put_value(printing, since, ", seq ", "seq");
        fputc(',', printing->out);
    }
    put_time(printing, since);
    fputc('\n', printing->out);
}

/* ---- the whole ---- */

static void print_head_line(const struct printing *printing, uint32_t root)
{
    struct span in = member(printing, root, "in");
    put_name(printing, member(printing, root, "key"));
    fputs(span_equal(in, span_of("true"))    ? " is in "
          : span_equal(in, span_of("false")) ? " is not in "
                                             : " may be in ",
          printing->out);
    put_name(printing, member(printing, root, "view"));
    if (put_value(printing, root, " (as of change ", "position"))
        fputc(')', printing->out);
    fputc('\n', printing->out);
}

bool explain_print(FILE *out, struct span answer, struct error *error)
{
    struct doc doc;
    struct printing printing = {out, &doc};
    uint32_t root, steps = DOC_NONE, since;
    doc_init(&doc, UINT32_MAX / 2, UINT32_MAX / 2);
    bool good = doc_parse(&doc, answer, ANSWER_DEPTH, &root, error);
    if (good)
        steps = doc_member(&doc, root, "steps");
    if (good && (steps == DOC_NONE || doc.nodes[steps].type != DOC_ARRAY))
        good = error_set(error, ERROR_NETWORK, "the server answered without steps");
    if (good) {
        print_head_line(&printing, root);
        for (uint32_t at = doc_first(&doc, steps); at != DOC_NONE && at < doc.nodes[steps].end;
             at = doc.nodes[at].end)
            print_step(&printing, at);
        since = doc_member(&doc, root, "since");
        if (since != DOC_NONE)
            print_since(&printing, since);
    }
    doc_fini(&doc);
    return good;
}
