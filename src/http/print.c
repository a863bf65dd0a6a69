#include "http/print.h"

#include "base/utf8.h"

enum { SHOWN_KEY = 256, SHOWN_QUERY = 1024 /* bytes */ };

void http_print_known(struct buffer *out, int64_t number)
{
    if (number >= 0)
        buffer_printf(out, "%lld", (long long)number);
    else
        buffer_add_string(out, "null");
}

static void print_cut(struct buffer *out, struct span text, size_t most)
{
    if (text.length <= most) {
        doc_escape(out, text);
        return;
    }
    doc_escape(out, span_make(text.data, utf8_whole(text.data, most)));
    if (!out->failed && out->length)
        out->length--; /* the quote */
    buffer_add_string(out, "…\"");
}

void http_print_asked(struct buffer *out, const struct asked_facts *asked)
{
    buffer_add_string(out, "\"view\":");
    doc_escape(out, asked->view);
    if (asked->key.data) {
        buffer_add_string(out, ",\"key\":");
        print_cut(out, asked->key, SHOWN_KEY);
    }
    if (asked->query.data) {
        buffer_add_string(out, ",\"query\":");
        print_cut(out, asked->query, SHOWN_QUERY);
    }
    if (asked->take >= 0)
        buffer_printf(out, ",\"take\":%lld,\"skip\":%lld", (long long)asked->take,
                      (long long)asked->skip);
}
