/*
 * Messages from clients. They come from the network, so they pass the strict parser of documents
 * and not jansson, which reads past its buffer when an allocation fails.
 *
 * Reading is sticky: the first bad field keeps its error and the later ones read as absent, so
 * that the code below can name the fields one after the other.
 */
#include "wire/wire_internal.h"

#include <inttypes.h>

enum { MESSAGE_DEPTH = 32, MESSAGE_VALUES = 4096 };

struct reader {
    struct doc doc;
    uint32_t object;
    struct error error; /* of the first bad field; ERROR_NONE while all were good */
};

static bool failed(const struct reader *reader)
{
    return reader->error.code != ERROR_NONE;
}

/* ---- fields ---- */

static enum doc_type type_of(const struct reader *reader, uint32_t value)
{
    return reader->doc.nodes[value].type;
}

static const char *type_name(const struct reader *reader, uint32_t value)
{
    static const char *const names[] = {
        [DOC_NULL] = "null",       [DOC_FALSE] = "a boolean", [DOC_TRUE] = "a boolean",
        [DOC_NUMBER] = "a number", [DOC_WIDE] = "a number",   [DOC_STRING] = "a string",
        [DOC_ARRAY] = "an array",  [DOC_OBJECT] = "an object"};
    return names[type_of(reader, value)];
}

/* The field's value; DOC_NONE when it is missing, null, or an earlier one was bad. */
static uint32_t field(const struct reader *reader, const char *name)
{
    uint32_t value = failed(reader) ? DOC_NONE : doc_member(&reader->doc, reader->object, name);
    return value != DOC_NONE && type_of(reader, value) != DOC_NULL ? value : DOC_NONE;
}

/* No value in this error: the field may be a token. */
static void wrong_type(struct reader *reader, const char *name, const char *wanted, uint32_t value)
{
    error_set(&reader->error, ERROR_INVALID_PARAMETER, "\"%s\" must be %s, not %s", name, wanted,
              type_name(reader, value));
}

/* The bytes of a string on the heap, NUL-terminated. */
static char *decode_string(struct reader *reader, const char *name, uint32_t value)
{
    struct buffer text;
    buffer_init(&text, doc_text(&reader->doc, value).length);
    bool decoded = doc_decode_string(&reader->doc, value, &text) && buffer_string(&text);
    char *taken = NULL;
    if (!decoded)
        error_set(&reader->error, ERROR_MEMORY, "no memory for \"%s\" of a message", name);
    else if (memchr(text.data, '\0', text.length))
        error_set(&reader->error, ERROR_INVALID_PARAMETER,
                  "\"%s\" must not hold the character U+0000", name);
    else
        taken = buffer_take(&text, NULL);
    buffer_fini(&text);
    return taken;
}

static char *read_string(struct reader *reader, const char *name)
{
    uint32_t value = field(reader, name);
    if (value == DOC_NONE)
        return NULL;
    if (type_of(reader, value) == DOC_STRING)
        return decode_string(reader, name, value);
    wrong_type(reader, name, "a string", value);
    return NULL;
}

static char *read_required_string(struct reader *reader, const char *name, const char *type)
{
    if (!failed(reader) && field(reader, name) == DOC_NONE)
        error_set(&reader->error, ERROR_INVALID_PARAMETER, "\"%s\" is missing; %s needs it", name,
                  type);
    return read_string(reader, name);
}

static bool read_boolean(struct reader *reader, const char *name, bool otherwise)
{
    uint32_t value = field(reader, name);
    if (value == DOC_NONE)
        return otherwise;
    enum doc_type type = type_of(reader, value);
    if (type != DOC_TRUE && type != DOC_FALSE)
        wrong_type(reader, name, "true or false", value);
    return type == DOC_TRUE;
}

/* -1 when absent. */
static int64_t read_count(struct reader *reader, const char *name, int64_t minimum)
{
    enum { SHOWN = 40 }; /* bytes of the value that the error repeats */
    uint32_t value = field(reader, name);
    int64_t count;
    if (value == DOC_NONE)
        return -1;
    if (doc_integer(&reader->doc, value, &count) && count >= minimum)
        return count;
    struct span text = doc_text(&reader->doc, value);
    if (type_of(reader, value) == DOC_WIDE) /* the client sent it without quotes */
        text = span_make(text.data + 1, text.length - 2);
    size_t shown = wire_cut(text, SHOWN);
    error_set(&reader->error, ERROR_INVALID_PARAMETER,
              "\"%s\" must be an integer from %" PRId64 " to %" PRId64 ", not %.*s%s", name,
              minimum, INT64_MAX, (int)shown, text.data, shown < text.length ? "…" : "");
    return -1;
}

/* The query of the message, on the heap; NULL: all. Readers that know the view read the content
 * of these members. */
static char *read_query(struct reader *reader)
{
    static const struct {
        const char *name, *wanted;
        enum doc_type type;
    } parts[] = {{"filters", "an object of dotted path to value", DOC_OBJECT},
                 {"where", "a predicate, which is an object", DOC_OBJECT},
                 {"sort", "a list of keys", DOC_ARRAY}};
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint32_t value = field(reader, parts[i].name);
        if (value == DOC_NONE)
            continue;
        if (type_of(reader, value) != parts[i].type) {
            wrong_type(reader, parts[i].name, parts[i].wanted, value);
            break;
        }
        buffer_printf(&text, "%s\"%s\":", text.length ? "," : "{", parts[i].name);
        buffer_add_span(&text, doc_text(&reader->doc, value));
    }
    bool given = text.length && buffer_add_char(&text, '}');
    char *query =
        !failed(reader) && given && buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    if (!query && (given || text.failed) && !failed(reader))
        error_set(&reader->error, ERROR_MEMORY, "no memory for the query of a message");
    buffer_fini(&text);
    return query;
}

/* ---- messages ---- */

/*
 * The parameters that tell two subscriptions of the same view and key apart, in a fixed order and
 * without defaults. Within a query the order and the spelling of numbers are the client's: one that
 * changes them gets one more snapshot, and nothing wrong.
 */
static char *print_parameters(struct reader *reader, bool with_snapshot)
{
    static const char *const names[] = {"after", "epoch",   "snapshotLimit", "partition", "take",
                                        "skip",  "filters", "where",         "sort"};
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    buffer_add_string(&text, with_snapshot ? "{\"withSnapshot\":true" : "{\"withSnapshot\":false");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint32_t value = field(reader, names[i]);
        if (value != DOC_NONE) {
            buffer_add_string(&text, ",\"");
            buffer_add_string(&text, names[i]);
            buffer_add_string(&text, "\":");
            buffer_add_span(&text, doc_text(&reader->doc, value));
        }
    }
    buffer_add_char(&text, '}');
    char *taken = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    if (!taken && !failed(reader))
        error_set(&reader->error, ERROR_MEMORY, "no memory for a subscription's parameters");
    return taken;
}

static void read_subscribe(struct reader *reader, struct wire_subscribe *subscribe)
{
    subscribe->view = read_required_string(reader, "view", "subscribe");
    subscribe->key = read_string(reader, "key");
    subscribe->partition = read_string(reader, "partition");
    subscribe->after = read_string(reader, "after");
    subscribe->epoch = read_string(reader, "epoch");
    subscribe->with_snapshot = read_boolean(reader, "withSnapshot", true);
    subscribe->snapshot_limit = read_count(reader, "snapshotLimit", 1);
    subscribe->take = read_count(reader, "take", 1);
    subscribe->skip = read_count(reader, "skip", 0);
    subscribe->query = read_query(reader);
    subscribe->parameters = print_parameters(reader, subscribe->with_snapshot);
}

static void read_unsubscribe(struct reader *reader, struct wire_subscribe *subscribe)
{
    subscribe->view = read_required_string(reader, "view", "unsubscribe");
    subscribe->key = read_string(reader, "key");
}

static void read_type(struct reader *reader, enum wire_message_type *type)
{
    static const char *const names[] = {[WIRE_SUBSCRIBE] = "\"subscribe\"",
                                        [WIRE_UNSUBSCRIBE] = "\"unsubscribe\"",
                                        [WIRE_PING] = "\"ping\"",
                                        [WIRE_REFRESH_AUTH] = "\"refresh_auth\""};
    uint32_t value = field(reader, "type");
    /* The oldest clients send the bare subscription. */
    if (value == DOC_NONE && field(reader, "view") != DOC_NONE) {
        *type = WIRE_SUBSCRIBE;
        return;
    }
    for (size_t i = 0; value != DOC_NONE && i < sizeof names / sizeof *names; i++) {
        if (span_equal(doc_text(&reader->doc, value), span_of(names[i]))) {
            *type = (enum wire_message_type)i;
            return;
        }
    }
    error_set(&reader->error, ERROR_INVALID_MESSAGE, "\"type\" is %s; use %s, %s, %s or %s",
              value == DOC_NONE ? "missing" : "unknown", names[WIRE_SUBSCRIBE],
              names[WIRE_UNSUBSCRIBE], names[WIRE_PING], names[WIRE_REFRESH_AUTH]);
}

static void read_message(struct reader *reader, struct wire_message *message)
{
    if (type_of(reader, reader->object) != DOC_OBJECT) {
        error_set(&reader->error, ERROR_INVALID_MESSAGE, "a message must be a JSON object, not %s",
                  type_name(reader, reader->object));
        return;
    }
    read_type(reader, &message->type);
    if (failed(reader))
        return;
    switch (message->type) {
    case WIRE_SUBSCRIBE:
        read_subscribe(reader, &message->subscribe);
        break;
    case WIRE_UNSUBSCRIBE:
        read_unsubscribe(reader, &message->subscribe);
        break;
    case WIRE_REFRESH_AUTH:
        message->token = read_required_string(reader, "token", "refresh_auth");
        break;
    case WIRE_PING:
        break;
    }
}

static bool parse_document(struct reader *reader, struct span text)
{
    struct error cause;
    if (doc_parse(&reader->doc, text, MESSAGE_DEPTH, &reader->object, &cause))
        return true;
    enum error_code code = cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_MESSAGE;
    return error_set(&reader->error, code, "the message is not usable JSON: %s", cause.message);
}

bool wire_message_read(struct span text, struct wire_message *message, struct error *error)
{
    *message = (struct wire_message){
        .version = 1,
        .subscribe = {.with_snapshot = true, .snapshot_limit = -1, .take = -1, .skip = -1}};
    struct reader reader = {.error = {.code = ERROR_NONE}};
    doc_init(&reader.doc, SIZE_MAX, MESSAGE_VALUES);
    bool parsed = parse_document(&reader, text);
    if (parsed && wire_message_is_v2(&reader.doc, reader.object))
        wire_message_read_v2(&reader.doc, reader.object, message, &reader.error);
    else if (parsed)
        read_message(&reader, message);
    doc_fini(&reader.doc);
    if (!failed(&reader))
        return true;
    *error = reader.error;
    return false;
}

bool wire_message_parse(struct span text, struct wire_message *message, struct error *error)
{
    struct error problem;
    if (wire_message_read(text, message, error ? error : &problem))
        return true;
    wire_message_fini(message);
    return false;
}

void wire_message_fini(struct wire_message *message)
{
    memory_free(message->subscribe.view);
    memory_free(message->subscribe.key);
    memory_free(message->subscribe.partition);
    memory_free(message->subscribe.after);
    memory_free(message->subscribe.epoch);
    memory_free(message->subscribe.query);
    memory_free(message->subscribe.parameters);
    memory_free(message->id);
    memory_free(message->query);
    memory_free(message->token);
    *message = (struct wire_message){.type = WIRE_PING};
}
