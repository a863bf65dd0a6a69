#include "base/pairs.h"

#include "base/buffer.h"
#include "base/utf8.h"

static struct span trim(struct span text)
{
    while (text.length && strchr(" \t", text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    while (text.length && strchr(" \t", text.data[text.length - 1]))
        text.length--;
    return text;
}

/* The text before the first `mark`, which goes from `rest`; all of it, if there is none. */
static struct span cut(struct span *rest, char mark)
{
    const char *at = rest->length ? memchr(rest->data, mark, rest->length) : NULL;
    struct span before = span_make(rest->data, at ? (size_t)(at - rest->data) : rest->length);
    size_t taken = before.length + (at != NULL);
    *rest = span_make(rest->data + taken, rest->length - taken);
    return before;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append the text without its percent signs; false: one of them is wrong, or memory is. */
static bool decode(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.length ? digit_of(text.data[i + 1]) : -1;
            int low = i + 2 < text.length ? digit_of(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        buffer_add_char(out, c);
    }
    return !out->failed;
}

static bool is_text(struct span text)
{
    size_t at = 0, step;
    while (at < text.length && (unsigned char)text.data[at] >= ' ' && text.data[at] != 0x7f &&
           (step = utf8_character(text.data + at, text.length - at)))
        at += step;
    return at == text.length;
}

struct visitor {
    bool (*visit)(void *argument, struct span name, struct span value, struct error *error);
    void *argument;
};

static bool visit_one(const struct visitor *visitor, struct span pair, size_t number,
                      struct error *error)
{
    struct buffer text;
    bool has_value = memchr(pair.data, '=', pair.length) != NULL;
    struct span name = trim(cut(&pair, '=')), value = trim(pair);
    buffer_init(&text, 64 * 1024);
    bool good = has_value && name.length && decode(name, &text);
    size_t length = text.length;
    good = good && decode(value, &text);
    struct span all = buffer_span(&text);
    if (text.failed)
        good = error_set(error, ERROR_MEMORY, "out of memory for pair %zu", number);
    else if (!good || !is_text(all))
        good = error_set(error, ERROR_CONFIGURATION,
                         "pair %zu is not NAME=VALUE, percent-encoded, of UTF-8 without control "
                         "characters",
                         number);
    else
        good = visitor->visit(visitor->argument, span_make(all.data, length),
                              span_make(all.data + length, all.length - length), error);
    buffer_fini(&text);
    return good;
}

bool pairs_each(struct span list,
                bool (*visit)(void *argument, struct span name, struct span value,
                              struct error *error),
                void *argument, struct error *error)
{
    const struct visitor visitor = {visit, argument};
    for (size_t number = 1; list.length; number++) {
        struct span pair = trim(cut(&list, ','));
        if (pair.length && !visit_one(&visitor, pair, number, error))
            return false;
    }
    return true;
}
