#include "cli/history_print.h"

#include "terminal/terminal.h"

#include <stdio.h>
#include <time.h>

enum { EVENT_DEPTH = 1100, OFFSET_WIDTH = 10, OP_WIDTH = 6 };

/* ---- texts ---- */

static void print_text(struct span text)
{
    output_text(stdout, text);
}

/* At least so wide. */
static void print_wide(struct span text, size_t width)
{
    print_text(text);
    for (size_t i = text.length; i < width; i++)
        putchar(' ');
}

static struct span member(const struct doc *doc, uint32_t object, const char *name)
{
    uint32_t found = doc_member(doc, object, name);
    return found == DOC_NONE ? span_make(NULL, 0) : doc_text(doc, found);
}

static struct span bare(struct span string)
{
    return string.length < 2 ? span_of("-") : doc_bare(string);
}

static void print_time(const struct doc *doc, uint32_t event)
{
    char text[32] = "-";
    int64_t ms = 0;
    uint32_t found = doc_member(doc, event, "time");
    struct tm parts;
    if (found != DOC_NONE && doc_integer(doc, found, &ms)) {
        time_t seconds = (time_t)(ms / 1000);
        gmtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    printf("%s.%03dZ", text, (int)(ms % 1000));
}

/* ---- what changed ---- */

/* The names joined with dots; the row itself has none. */
static void print_path(const struct doc *doc, uint32_t path)
{
    uint32_t end = doc->nodes[path].end;
    for (uint32_t at = path + 1; at < end; at = doc->nodes[at].end) {
        if (at > path + 1)
            putchar('.');
        print_text(doc_bare(doc_text(doc, at)));
    }
    fputs(end == path + 1 ? "the row" : "", stdout);
}

static void print_value(const char *sign, struct span value)
{
    printf("%s ", sign);
    print_text(value);
}

static void print_dropped(struct span dropped)
{
    printf(" (");
    print_text(dropped);
    printf(" dropped)");
}

static void print_difference(const struct doc *doc, uint32_t difference)
{
    struct span from = member(doc, difference, "from"), to = member(doc, difference, "to");
    struct span added = member(doc, difference, "added");
    struct span dropped = member(doc, difference, "dropped");
    printf("    ");
    print_path(doc, doc_member(doc, difference, "path"));
    if (added.data) {
        print_value(" +", added);
        if (dropped.data)
            print_dropped(dropped);
    } else if (from.data && to.data) {
        printf(":");
        print_value("", from);
        print_value(" ->", to);
    } else {
        print_value(to.data ? " +" : " -", to.data ? to : from);
    }
    putchar('\n');
}

static void print_patch(const struct doc *doc, uint32_t event)
{
    struct span data = member(doc, event, "data");
    printf("    what it was before is not known; the patch:");
    print_value("", data);
    putchar('\n');
}

static void print_event(const struct doc *doc, uint32_t event)
{
    struct span offset = member(doc, event, "offset");
    uint32_t diff = doc_member(doc, event, "diff");
    print_wide(offset, OFFSET_WIDTH);
    printf("  ");
    print_time(doc, event);
    struct span op = bare(member(doc, event, "op")), seq = bare(member(doc, event, "seq"));
    printf("  ");
    print_wide(op, OP_WIDTH);
    printf("  ");
    print_text(seq);
    putchar('\n');
    if (diff == DOC_NONE || doc->nodes[diff].type != DOC_ARRAY) {
        print_patch(doc, event);
        return;
    }
    uint32_t end = doc->nodes[diff].end;
    for (uint32_t at = diff + 1; at < end; at = doc->nodes[at].end)
        print_difference(doc, at);
}

/* ---- the events ---- */

static void print_head(struct history_print *print)
{
    if (!print->begun && !print->as_json)
        printf("%-*s  %-24s  %-*s  %s\n", OFFSET_WIDTH, "offset", "time", OP_WIDTH, "op", "seq");
    print->begun = true;
}

static void print_line(const struct doc *doc, uint32_t event)
{
    struct span text = doc_text(doc, event);
    output_json(stdout, text);
    putchar('\n');
}

void history_print_list(struct history_print *print, const struct doc *doc, uint32_t events,
                        int64_t most, int64_t *count)
{
    uint32_t end = doc->nodes[events].end;
    print_head(print);
    for (uint32_t at = events + 1; at < end && *count < most; at = doc->nodes[at].end) {
        (print->as_json ? print_line : print_event)(doc, at);
        ++*count;
    }
    fflush(stdout);
}

bool history_print_events(struct history_print *print, struct span events, int64_t most,
                          int64_t *count, struct error *error)
{
    struct buffer list;
    struct doc doc;
    uint32_t root;
    buffer_init(&list, UINT32_MAX);
    doc_init(&doc, UINT32_MAX, UINT32_MAX);
    buffer_add_char(&list, '[');
    buffer_add_span(&list, events);
    bool done = buffer_add_char(&list, ']') || error_set(error, ERROR_MEMORY, "out of memory");
    done = done && doc_parse(&doc, buffer_span(&list), EVENT_DEPTH, &root, error);
    if (done)
        history_print_list(print, &doc, root, most, count);
    buffer_fini(&list);
    doc_fini(&doc);
    return done;
}

/* ---- a former state ---- */

bool history_print_row(struct history_print *print, const struct view *view, struct span key,
                       struct span row, int64_t at, struct error *error)
{
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    if (!row.data) {
        output_tell("stele history: '%.*s' was not there at @%lld",
                    key.length > 200 ? 200 : (int)key.length, key.data, (long long)at);
        return true;
    }
    bool done = (view ? view_project(view, row, &text) : buffer_add_span(&text, row)) ||
                error_set(error, ERROR_MEMORY, "out of memory");
    if (done && print->as_json)
        output_json(stdout, buffer_span(&text));
    else if (done)
        print_text(buffer_span(&text));
    putchar('\n');
    buffer_fini(&text);
    return done;
}

bool history_print_keyed(const struct view *view, struct span key, struct span row,
                         struct error *error)
{
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    buffer_add_string(&text, "{\"key\":");
    doc_escape(&text, key);
    buffer_add_string(&text, ",\"data\":");
    bool done = (view ? view_project(view, row, &text) : buffer_add_span(&text, row)) &&
                buffer_add_char(&text, '}');
    if (done) {
        output_json(stdout, buffer_span(&text));
        putchar('\n');
    }
    buffer_fini(&text);
    return done || error_set(error, ERROR_MEMORY, "out of memory");
}
