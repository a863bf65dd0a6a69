/*
 * The parser: one pass that checks, writes canonical text and adds nodes. If the input is canonical
 * already, as it mostly is, that amounts to a copy.
 *
 * Nothing of the document changes until the whole value has been accepted: the text grows only in
 * its reserved room, nodes only behind `count`, and both are written back at the end.
 */
#include "json/doc_parser.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * All 309 digits of 2^1024 - 2^970. It lies half-way between the largest double and 2^1024, and
 * since halves round to even, it is the smallest number that becomes infinite.
 */
static const char smallest_infinite[] =
    "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
    "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
    "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
    "342711559699508093042880177904174497792";
enum { INFINITE_DIGITS = sizeof smallest_infinite - 1 };

/* Whether the literal of any number rounds to an infinite double. */
static bool is_infinite(struct span literal)
{
    struct doc_decimal decimal = doc_decimal_of(literal);
    if (decimal.sign == 0)
        return false;
    if (decimal.exponent != INFINITE_DIGITS - 1)
        return decimal.exponent > INFINITE_DIGITS - 1;
    for (size_t i = 0; i < INFINITE_DIGITS; i++) {
        int next = doc_decimal_next(&decimal);
        char digit = (char)(next < 0 ? '0' : '0' + next);
        if (digit != smallest_infinite[i])
            return digit > smallest_infinite[i];
    }
    return true;
}

static bool skip_digits(struct doc_parser *parser, const char *place)
{
    if (!doc_is_digit(parser->at, parser->end))
        return doc_refuse_next(parser, place);
    while (doc_is_digit(parser->at, parser->end))
        parser->at++;
    return true;
}

/* Fraction and exponent, if they are there; tells whether there was an exponent. */
static bool skip_fraction(struct doc_parser *parser, bool *exponent)
{
    if (doc_next_is(parser, '.')) {
        parser->at++;
        if (!skip_digits(parser, "a digit after the point"))
            return false;
    }
    *exponent = doc_next_is(parser, 'e') || doc_next_is(parser, 'E');
    if (!*exponent)
        return true;
    parser->at++;
    if (doc_next_is(parser, '+') || doc_next_is(parser, '-'))
        parser->at++;
    return skip_digits(parser, "a digit in the exponent");
}

/* A number, or with another *type an integer that becomes a string. */
static bool parse_number(struct doc_parser *parser, enum doc_type *type)
{
    const unsigned char *start = parser->at;
    bool exponent;
    parser->at += *start == '-';
    if (doc_next_is(parser, '0')) {
        parser->at++;
        if (doc_is_digit(parser->at, parser->end))
            return doc_refuse(parser, ERROR_INVALID_MESSAGE, start,
                              "a number must not start with a needless 0");
    } else if (!skip_digits(parser, "a digit after the minus sign")) {
        return false;
    }
    const unsigned char *whole_end = parser->at;
    if (!skip_fraction(parser, &exponent))
        return false;
    struct span literal = span_make((const char *)start, (size_t)(parser->at - start));
    bool integer = parser->at == whole_end;
    /* An integer of any length is stored as a string, so no double need hold it. */
    if (!integer && (exponent || whole_end - start > 308) && is_infinite(literal))
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, start,
                          "this number is beyond 1.8e308; send it as a string");
    bool wide = integer && literal.length >= 16 && doc_is_wide(literal);
    *type = wide ? DOC_WIDE : DOC_NUMBER;
    if (wide)
        doc_put_char(&parser->out, '"');
    doc_put(&parser->out, literal.data, literal.length);
    if (wide)
        doc_put_char(&parser->out, '"');
    return true;
}

static bool parse_value(struct doc_parser *parser, uint32_t depth, struct span name);

/* ---- errors ---- */

/* ---- small steps ---- */

static inline void skip_space(struct doc_parser *parser)
{
    while (
        parser->at < parser->end && *parser->at <= ' ' &&
        (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\r' || *parser->at == '\t'))
        parser->at++;
}

static inline uint32_t written(const struct doc_parser *parser)
{
    return (uint32_t)(parser->out.at - parser->text);
}

static bool grow_nodes(struct doc *doc)
{
    uint64_t capacity = doc->capacity ? 2 * (uint64_t)doc->capacity : 32;
    capacity = capacity < doc->max_nodes ? capacity : doc->max_nodes;
    struct doc_node *nodes = memory_resize(doc->nodes, capacity * sizeof *nodes);
    if (!nodes)
        return false;
    doc->nodes = nodes;
    doc->capacity = (uint32_t)capacity;
    return true;
}

static uint32_t add_node(struct doc_parser *parser, struct span name)
{
    struct doc *doc = parser->doc;
    if (doc->count == doc->max_nodes) {
        doc_refuse(parser, ERROR_TOO_LARGE, parser->at, "more than %u values", doc->max_nodes);
        return DOC_NONE;
    }
    if (doc->count == doc->capacity && !grow_nodes(doc)) {
        error_set(parser->error, ERROR_MEMORY, "out of memory while parsing JSON");
        return DOC_NONE;
    }
    doc->nodes[doc->count] = (struct doc_node){
        .key = name.data ? (uint32_t)(name.data - parser->text) : 0,
        .key_length = (uint32_t)name.length,
        .value = written(parser),
    };
    return doc->count++;
}

static bool parse_word(struct doc_parser *parser, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0)
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at, "expected the word %s", word);
    doc_put(&parser->out, word, length);
    parser->at += length;
    return true;
}

/* ---- containers ---- */

/* No two members of the object, whose children are all there, may have one name. */
static bool check_names(struct doc_parser *parser, uint32_t object)
{
    struct doc *doc = parser->doc;
    uint32_t twice = DOC_NONE, end = doc->nodes[object].end = doc->count;
    if (doc->nodes[object].count > DOC_FEW_MEMBERS) {
        struct doc_names names;
        if (!doc_names_init(&names, doc, object, &twice))
            return error_set(parser->error, ERROR_MEMORY, "out of memory while parsing JSON");
        doc_names_fini(&names);
    } else {
        for (uint32_t a = object + 1; a < end; a = doc->nodes[a].end)
            for (uint32_t b = doc->nodes[a].end; b < end; b = doc->nodes[b].end)
                if (span_equal(doc_key(doc, a), doc_key(doc, b)))
                    twice = b;
    }
    if (twice == DOC_NONE)
        return true;
    struct span name = doc_key(doc, twice);
    /* A long name is cut before a character, so that the message stays UTF-8. */
    size_t shown = name.length < 200 ? name.length : 200;
    while (shown < name.length && shown > 0 && (name.data[shown] & 0xc0) == 0x80)
        shown--;
    return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at,
                      "the object that ends here has the member \"%.*s\" twice; keep one of them",
                      (int)shown, name.data);
}

static bool parse_member(struct doc_parser *parser, uint32_t depth)
{
    skip_space(parser);
    if (!doc_next_is(parser, '"'))
        return doc_refuse_next(parser, "a member's name in double quotes");
    const char *name = parser->out.at + 1;
    if (!doc_parse_string(parser))
        return false;
    size_t length = (size_t)(parser->out.at - name) - 1;
    skip_space(parser);
    if (!doc_next_is(parser, ':'))
        return doc_refuse_next(parser, "':' after a member's name");
    parser->at++;
    doc_put_char(&parser->out, ':');
    /* Without room the name may not be whole, so its length would lie. */
    if (parser->out.full)
        return doc_refuse(parser, ERROR_TOO_LARGE, parser->at, "the text is larger than %zu bytes",
                          parser->doc->text.limit);
    return parse_value(parser, depth, span_make(name, length));
}

/* Elements or members, from behind the opening to before the closing bracket. */
static bool parse_children(struct doc_parser *parser, uint32_t node, uint32_t depth, bool object)
{
    unsigned char close = object ? '}' : ']';
    skip_space(parser);
    if (doc_next_is(parser, close))
        return true;
    for (;;) {
        if (object ? !parse_member(parser, depth) : !parse_value(parser, depth, span_make(NULL, 0)))
            return false;
        parser->doc->nodes[node].count++;
        skip_space(parser);
        if (doc_next_is(parser, close))
            return true;
        if (!doc_next_is(parser, ','))
            return doc_refuse_next(parser, object ? "',' or '}' after a member's value"
                                                  : "',' or ']' after an element");
        parser->at++;
        doc_put_char(&parser->out, ',');
    }
}

/* `depth` counts the containers around this one. */
static bool parse_container(struct doc_parser *parser, uint32_t node, uint32_t depth, bool object)
{
    if (depth == parser->max_depth)
        return doc_refuse(parser, ERROR_INVALID_MESSAGE, parser->at, "nested deeper than %u levels",
                          parser->max_depth);
    if (depth + 1 > parser->deepest)
        parser->deepest = depth + 1;
    parser->at++;
    doc_put_char(&parser->out, object ? '{' : '[');
    if (!parse_children(parser, node, depth + 1, object))
        return false;
    uint32_t count = parser->doc->nodes[node].count;
    if (object && count > 1 && !check_names(parser, node))
        return false;
    if (!object && count > parser->longest_array)
        parser->longest_array = count;
    parser->at++;
    doc_put_char(&parser->out, object ? '}' : ']');
    return true;
}

static bool parse_by_first_byte(struct doc_parser *parser, uint32_t node, uint32_t depth,
                                enum doc_type *type)
{
    switch (parser->at < parser->end ? *parser->at : 0) {
    case '"':
        *type = DOC_STRING;
        return doc_parse_string(parser);
    case '{':
        *type = DOC_OBJECT;
        return parse_container(parser, node, depth, true);
    case '[':
        *type = DOC_ARRAY;
        return parse_container(parser, node, depth, false);
    case 't':
        *type = DOC_TRUE;
        return parse_word(parser, "true");
    case 'f':
        *type = DOC_FALSE;
        return parse_word(parser, "false");
    case 'n':
        *type = DOC_NULL;
        return parse_word(parser, "null");
    case 'N':
    case 'I':
        return doc_refuse_next(parser, "a value (JSON has no NaN and no Infinity; send null)");
    default:
        if (doc_next_is(parser, '-') || doc_is_digit(parser->at, parser->end))
            return parse_number(parser, type);
        return doc_refuse_next(parser, "a value");
    }
}

/* `name` points into the document's text; its data is NULL for what is no member. */
static bool parse_value(struct doc_parser *parser, uint32_t depth, struct span name)
{
    enum doc_type type = DOC_NULL;
    skip_space(parser);
    uint32_t node = add_node(parser, name);
    if (node == DOC_NONE || !parse_by_first_byte(parser, node, depth, &type))
        return false;
    if (parser->out.full)
        return doc_refuse(parser, ERROR_TOO_LARGE, parser->at, "the text is larger than %zu bytes",
                          parser->doc->text.limit);
    struct doc_node *it = &parser->doc->nodes[node];
    it->type = type;
    it->value_length = written(parser) - it->value;
    it->end = parser->doc->count;
    return true;
}

/* ---- the whole text ---- */

static bool parse_text(struct doc_parser *parser)
{
    struct doc *doc = parser->doc;
    /* Only a wide integer grows, of 16 digits or more, by its two quotes. */
    size_t bound = (size_t)(parser->end - parser->start);
    bound += bound / 8 + 8;
    if (!doc_writer_open(&parser->out, &doc->text, bound))
        return error_set(parser->error, ERROR_MEMORY, "out of memory while parsing JSON");
    parser->text = doc->text.data;
    if (!parse_value(parser, 0, span_make(NULL, 0)))
        return false;
    skip_space(parser);
    if (parser->at < parser->end)
        return doc_refuse_next(parser, "nothing more after the value");
    return doc_writer_close(&parser->out, &doc->text);
}

bool doc_parse(struct doc *doc, struct span input, uint32_t max_depth, uint32_t *root,
               struct error *error)
{
    const unsigned char *start = (const unsigned char *)(input.data ? input.data : "");
    struct doc_parser parser = {
        .doc = doc,
        .start = start,
        .at = start,
        .end = start + input.length,
        .max_depth = max_depth,
        .deepest = doc->deepest,
        .longest_array = doc->longest_array,
        .error = error,
    };
    uint32_t first = doc->count;
    if (!parse_text(&parser)) {
        doc->count = first;
        doc->text.failed = false;
        return false;
    }
    doc->deepest = parser.deepest;
    doc->longest_array = parser.longest_array;
    *root = first;
    return true;
}
