#include "cli/drift.h"
#include "terminal/terminal.h"

enum { MOST_KEYS = 100 /* that people are shown of a view */ };

static const char *const verdicts[] = {"equal", "different", "unknown"};
static const char *const names[] = {"same", "changed", "first", "second", "moved"};
static const char *const words[] = {"the same", "the rows differ", "only in the first",
                                    "only in the second", "the order differs"};

static void put_json(struct buffer *out, const char *before, const char *text)
{
    buffer_add_string(out, before);
    doc_escape(out, span_of(text));
}

static void print_line(struct buffer *line, void (*print)(FILE *out, struct span line))
{
    buffer_add_char(line, '\n');
    if (line->failed)
        fprintf(stderr, "stele check: out of memory\n");
    else
        print(stdout, buffer_span(line));
    buffer_fini(line);
}

static void print_text(FILE *out, struct span line)
{
    fwrite(line.data, 1, line.length, out);
}

/* With commas between thousands. */
static void put_count(struct buffer *out, int64_t count)
{
    enum { THOUSAND = 3 };
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)count);
    for (int i = 0; i < length; i++) {
        buffer_add_string(out, i > 0 && (length - i) % THOUSAND == 0 ? "," : "");
        buffer_add_char(out, digits[i]);
    }
}

static void put_view(struct buffer *out, const char *view, int width)
{
    struct buffer fit;
    buffer_init(&fit, UINT32_MAX);
    cell_fit(&fit, span_of(view));
    cell_pad(out, buffer_span(&fit), (size_t)width, false);
    buffer_add_string(out, "  ");
    buffer_fini(&fit);
}

/* ---- sums ---- */

void drift_print_sums(const char *view, const struct drift_sums *sums, int width, bool json)
{
    struct buffer line;
    buffer_init(&line, UINT32_MAX);
    if (json) {
        put_json(&line, "{\"view\":", view);
        buffer_printf(&line, ",\"rows\":%lld,\"seq\":\"%.*s\",\"sum\":\"%.*s\"",
                      (long long)sums->rows, (int)sums->seq_text.length, sums->seq_text.data,
                      (int)sums->sum.length, sums->sum.data);
        if (sums->order.data)
            buffer_printf(&line, ",\"order\":\"%.*s\"", (int)sums->order.length, sums->order.data);
        buffer_add_char(&line, '}');
    } else {
        put_view(&line, view, width);
        buffer_add_span(&line, sums->sum);
        buffer_add_string(&line, "  ");
        put_count(&line, sums->rows);
        buffer_add_string(&line, sums->rows == 1 ? " row" : " rows");
    }
    print_line(&line, json ? output_json : print_text);
}

/* ---- what was found ---- */

static void put_found_json(struct buffer *out, const char *view, const struct drift_found *found)
{
    put_json(out, "{\"view\":", view);
    buffer_printf(out, ",\"verdict\":\"%s\"", verdicts[found->verdict]);
    if (found->seqs[0][0] && found->seqs[1][0])
        buffer_printf(out, ",\"rows\":[%lld,%lld],\"seq\":[\"%s\",\"%s\"]",
                      (long long)found->rows[0], (long long)found->rows[1], found->seqs[0],
                      found->seqs[1]);
    if (found->verdict == DRIFT_DIFFERENT) {
        buffer_printf(out, ",\"order\":%s,\"keys\":[", found->order_differs ? "true" : "false");
        for (size_t i = 0; i < found->count; i++) {
            buffer_add_string(out, i ? ",\n{\"key\":" : "\n{\"key\":");
            buffer_add_span(out, text_span(found->keys[i].key));
            buffer_printf(out, ",\"is\":\"%s\"}", names[found->keys[i].is]);
        }
        buffer_add_char(out, ']');
    }
    if (found->behind != DRIFT_SAME)
        buffer_printf(out, ",\"behind\":\"%s\",\"order_told\":%s", names[found->behind],
                      found->order_untold ? "false" : "true");
    if (found->untold)
        buffer_printf(out, ",\"untold\":%zu", found->untold);
    if (found->why[0])
        put_json(out, ",\"why\":", found->why);
    buffer_add_char(out, '}');
}

/* Bare, unless something would be lost. */
static void put_key(struct buffer *out, struct span json)
{
    struct span bare = doc_bare(json);
    struct buffer fit;
    buffer_init(&fit, UINT32_MAX);
    cell_fit(&fit, bare);
    bool plain = bare.length && span_equal(buffer_span(&fit), bare) &&
                 !memchr(bare.data, '\\', bare.length) && bare.data[0] != ' ' &&
                 bare.data[bare.length - 1] != ' ';
    buffer_clear(&fit);
    cell_fit(&fit, plain ? bare : json);
    buffer_add_span(out, buffer_span(&fit));
    buffer_fini(&fit);
}

static void put_keys(struct buffer *out, const struct drift_found *found, int width)
{
    for (size_t i = 0; i < found->count && i < MOST_KEYS; i++) {
        struct buffer key;
        buffer_init(&key, UINT32_MAX);
        put_key(&key, text_span(found->keys[i].key));
        size_t wide = cell_width(buffer_span(&key)), room = width > 2 ? (size_t)width - 2 : 0;
        buffer_add_string(out, "\n  ");
        cell_pad(out, buffer_span(&key), wide > room ? wide : room, false);
        buffer_printf(out, "  %s", words[found->keys[i].is]);
        buffer_fini(&key);
    }
    if (found->count > MOST_KEYS)
        buffer_printf(out, "\n  and %zu more; --json has all", found->count - MOST_KEYS);
    if (found->untold)
        buffer_printf(out, "\n  and %zu of which it could not be told", found->untold);
    if (found->order_differs && !found->count)
        buffer_add_string(out, "\n  the order differs");
}

static void put_found(struct buffer *out, const char *view, const struct drift_found *found,
                      int width)
{
    put_view(out, view, width);
    buffer_printf(out, "%-9s  ", verdicts[found->verdict]);
    if (found->verdict == DRIFT_UNKNOWN) {
        cell_fit(out, span_of(found->why));
        return;
    }
    bool two = found->verdict == DRIFT_DIFFERENT || found->behind != DRIFT_SAME;
    put_count(out, found->rows[0]);
    if (two) {
        buffer_add_string(out, " and ");
        put_count(out, found->rows[1]);
    }
    buffer_add_string(out, !two && found->rows[0] == 1 ? " row" : " rows");
    put_keys(out, found, width);
    if (found->behind != DRIFT_SAME)
        buffer_printf(out, "; the %s is behind, at %s%s", names[found->behind],
                      found->seqs[found->behind == DRIFT_SECOND],
                      found->order_untold ? "; the order was not compared" : "");
}

void drift_print_found(const char *view, const struct drift_found *found, int width, bool json)
{
    struct buffer line;
    buffer_init(&line, UINT32_MAX);
    if (json)
        put_found_json(&line, view, found);
    else
        put_found(&line, view, found, width);
    print_line(&line, json ? output_json : print_text);
}
