/*
 * Messages of version 2. They are read in two steps, because clients tell the two refusals apart:
 * the shape of a message (types, unknown members, missing ones) is ERROR_INVALID_MESSAGE, its
 * values are ERROR_INVALID_PARAMETER. Only the id is read whatever else is wrong, so that the
 * refusal can name it.
 */
#include "wire/wire_internal.h"

#include <stdio.h>

enum { LONGEST_ID = 128, LONGEST_VERSION = 255 };

struct reading {
    const struct doc *doc;
    struct error *error;
    bool refused;
};

/* ---- members ---- */

static enum doc_type type_of(const struct reading *reading, uint32_t value)
{
    return reading->doc->nodes[value].type;
}

/* The first refusal counts. */
static void refuse(struct reading *reading, enum error_code code, const char *name, const char *why)
{
    if (reading->refused)
        return;
    reading->refused = true;
    error_set(reading->error, code, "\"%s\" %s", name, why);
}

static void refuse_shape(struct reading *reading, const char *name, const char *why)
{
    refuse(reading, ERROR_INVALID_MESSAGE, name, why);
}

static void refuse_value(struct reading *reading, const char *name, const char *why)
{
    refuse(reading, ERROR_INVALID_PARAMETER, name, why);
}

/* Names as texts with quotes and commas between. */
static void check_members(struct reading *reading, uint32_t object, const char *const *known)
{
    const struct doc *doc = reading->doc;
    uint32_t end = doc->nodes[object].end;
    for (uint32_t at = doc_first(doc, object); at != DOC_NONE && at < end;
         at = doc->nodes[at].end) {
        const char *const *name = known;
        struct span key = doc_key(doc, at);
        while (*name && !span_equal(key, span_of(*name)))
            name++;
        if (*name || reading->refused)
            continue;
        char shown[64];
        snprintf(shown, sizeof shown, "%.*s", (int)wire_cut(key, 40), key.data);
        refuse_shape(reading, shown, "is no member of this message; leave it out");
    }
}

/* A member that counts as absent when it is null. */
static uint32_t member(const struct reading *reading, uint32_t object, const char *name)
{
    uint32_t value = doc_member(reading->doc, object, name);
    return value != DOC_NONE && type_of(reading, value) != DOC_NULL ? value : DOC_NONE;
}

/* On the heap; NULL when it is not there, or refused. */
static char *read_text(struct reading *reading, uint32_t value, const char *name)
{
    struct buffer text;
    char *taken = NULL;
    if (value == DOC_NONE || reading->refused)
        return NULL;
    if (type_of(reading, value) != DOC_STRING) {
        refuse_shape(reading, name, "must be a string");
        return NULL;
    }
    buffer_init(&text, UINT32_MAX);
    if (!doc_decode_string(reading->doc, value, &text) || !buffer_string(&text))
        refuse(reading, ERROR_MEMORY, name, "is too much for the memory that there is");
    else if (memchr(text.data, '\0', text.length))
        refuse_value(reading, name, "must not hold the character U+0000");
    else
        taken = buffer_take(&text, NULL);
    buffer_fini(&text);
    return taken;
}

/* -1 when it is not there, or refused. */
static int64_t read_count(struct reading *reading, uint32_t query, const char *name,
                          int64_t minimum)
{
    uint32_t value = member(reading, query, name);
    int64_t count = -1;
    if (value == DOC_NONE || reading->refused)
        return -1;
    bool is_number = type_of(reading, value) == DOC_NUMBER || type_of(reading, value) == DOC_WIDE;
    if (!is_number || !doc_integer(reading->doc, value, &count) || count < 0) {
        refuse_shape(reading, name, "must be an integer that is not negative");
        return -1;
    }
    if (count >= minimum)
        return count;
    refuse_value(reading, name, "must be greater than zero");
    return -1;
}

/* ---- ids ---- */

static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

static bool is_space(uint32_t character)
{
    static const uint16_t spaces[] = {0x20, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (character == spaces[i])
            return true;
    return (character >= 0x2000 && character <= 0x200a) || (character >= 0x9 && character <= 0xd) ||
           character == 0x85;
}

/* The character of valid UTF-8 that begins at *at, which moves behind it. */
static uint32_t next_character(struct span text, size_t *at)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    uint32_t first = bytes[(*at)++];
    uint32_t character = first < 0x80   ? first
                         : first < 0xe0 ? first & 0x1f
                         : first < 0xf0 ? first & 0x0f
                                        : first & 0x07;
    while (*at < text.length && (bytes[*at] & 0xc0) == 0x80)
        character = character << 6 | (bytes[(*at)++] & 0x3f);
    return character;
}

static const char *wrong_with_id(struct span id)
{
    uint32_t last = ' ';
    if (!id.length)
        return "must not be empty";
    if (id.length > LONGEST_ID)
        return "has more than 128 bytes";
    for (size_t at = 0; at < id.length;) {
        bool first = at == 0;
        last = next_character(id, &at);
        if (is_control(last))
            return "must not hold control characters";
        if (first && is_space(last))
            return "must not begin with white space";
    }
    return is_space(last) ? "must not end with white space" : NULL;
}

/* An id that no answer can name is not kept. */
static char *read_id(struct reading *reading, uint32_t object, const char **wrong)
{
    struct error ignored = {.code = ERROR_NONE};
    struct reading quiet = {.doc = reading->doc, .error = &ignored};
    uint32_t value = doc_member(reading->doc, object, "subscriptionId");
    char *id = value == DOC_NONE ? NULL : read_text(&quiet, value, "subscriptionId");
    if (quiet.refused && ignored.code == ERROR_MEMORY)
        refuse(reading, ERROR_MEMORY, "subscriptionId", "is too much for the memory there is");
    *wrong = id ? wrong_with_id(span_of(id)) : "must not hold the character U+0000";
    if (id && !*wrong)
        return id;
    memory_free(id);
    return NULL;
}

/* Version and id, which subscribe and unsubscribe have. */
static void check_shape_of_both(struct reading *reading, uint32_t object)
{
    uint32_t version = doc_member(reading->doc, object, "protocolVersion");
    uint32_t id = doc_member(reading->doc, object, "subscriptionId");
    int64_t number;
    if (version == DOC_NONE || type_of(reading, version) != DOC_NUMBER ||
        !doc_integer(reading->doc, version, &number) || number < 0 || number > LONGEST_VERSION)
        refuse_shape(reading, "protocolVersion", "must be 2");
    if (id == DOC_NONE || type_of(reading, id) != DOC_STRING)
        refuse_shape(reading, "subscriptionId", "must be a string");
}

static void check_values_of_both(struct reading *reading, uint32_t object, const char *wrong_id)
{
    uint32_t version = doc_member(reading->doc, object, "protocolVersion");
    int64_t number;
    if (reading->refused)
        return;
    if (!doc_integer(reading->doc, version, &number) || number != 2)
        refuse_value(reading, "protocolVersion", "must be 2");
    if (wrong_id)
        refuse_value(reading, "subscriptionId", wrong_id);
}

/* ---- queries ---- */

static const char *const query_members[] = {"view",  "key",   "partition",     "filters",
                                            "where", "sort",  "take",          "skip",
                                            "after", "epoch", "snapshotLimit", NULL};

/* Members beside filters that choose rows; the reader that knows the view reads their content. */
static const struct {
    const char *name;
    enum doc_type type;
    const char *wrong;
} choices[] = {{"where", DOC_OBJECT, "must be a predicate, which is an object"},
               {"sort", DOC_ARRAY, "must be a list of keys"}};
enum { CHOICES = sizeof choices / sizeof *choices };

static bool is_told(const struct reading *reading, uint32_t value)
{
    return value != DOC_NONE && type_of(reading, value) != DOC_NULL &&
           (type_of(reading, value) != DOC_OBJECT || reading->doc->nodes[value].count);
}

/* The query as it was asked, from the member `first` on; on the heap. */
static char *print_query(struct reading *reading, uint32_t query, size_t first)
{
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    buffer_add_char(&text, '{');
    for (size_t i = first; query_members[i]; i++) {
        uint32_t value = doc_member(reading->doc, query, query_members[i]);
        if (!is_told(reading, value))
            continue;
        buffer_printf(&text, "%s\"%s\":", text.length > 1 ? "," : "", query_members[i]);
        struct span written = doc_text(reading->doc, value);
        if (type_of(reading, value) == DOC_WIDE) /* it came without quotes, and goes so */
            written = span_make(written.data + 1, written.length - 2);
        buffer_add_span(&text, written);
    }
    buffer_add_char(&text, '}');
    char *taken = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    if (!taken)
        refuse(reading, ERROR_MEMORY, "query", "is too much for the memory that there is");
    return taken;
}

/* An object's text without its last brace, which is given up; on the heap, NULL: there is none. */
static char *take_object(struct reading *reading, struct buffer *text, const char *name)
{
    bool any = text->length > 0 || text->failed;
    char *taken =
        any && buffer_add_char(text, '}') && buffer_string(text) ? buffer_take(text, NULL) : NULL;
    buffer_fini(text);
    if (any && !taken)
        refuse(reading, ERROR_MEMORY, name, "is too much for the memory that there is");
    return taken;
}

static bool has_empty_segment(struct span path)
{
    for (size_t at = 0, start = 0; at <= path.length; at++) {
        if (at < path.length && path.data[at] != '.')
            continue;
        if (at == start)
            return true;
        start = at + 1;
    }
    return false;
}

/* The filters, and the partition, which is one of them; on the heap, NULL: there is none. */
static char *read_filters(struct reading *reading, uint32_t query)
{
    const struct doc *doc = reading->doc;
    uint32_t filters = doc_member(doc, query, "filters"), partition;
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    partition = member(reading, query, "partition");
    for (uint32_t at = filters == DOC_NONE ? DOC_NONE : doc_first(doc, filters);
         at != DOC_NONE && at < doc->nodes[filters].end; at = doc->nodes[at].end) {
        if (has_empty_segment(doc_key(doc, at)))
            refuse_value(reading, "filters", "has a path with an empty part");
        if (partition != DOC_NONE && span_equal(doc_key(doc, at), span_of("_partition")))
            refuse_value(reading, "partition", "is asked for twice");
        buffer_add_string(&text, text.length ? ",\"" : "{\"");
        buffer_add_span(&text, doc_key(doc, at));
        buffer_add_string(&text, "\":");
        buffer_add_span(&text, doc_text(doc, at));
    }
    if (partition != DOC_NONE) {
        buffer_add_string(&text, text.length ? ",\"_partition\":" : "{\"_partition\":");
        buffer_add_span(&text, doc_text(doc, partition));
    }
    return take_object(reading, &text, "filters");
}

/* The wanted part of the view, as wire_subscribe has it; on the heap, NULL: all. */
static char *read_choice(struct reading *reading, uint32_t query)
{
    char *filters = read_filters(reading, query);
    struct buffer text;
    buffer_init(&text, UINT32_MAX);
    if (filters)
        buffer_printf(&text, "{\"filters\":%s", filters);
    memory_free(filters);
    for (size_t i = 0; i < CHOICES; i++) {
        uint32_t value = member(reading, query, choices[i].name);
        if (value == DOC_NONE)
            continue;
        buffer_printf(&text, "%s\"%s\":", text.length ? "," : "{", choices[i].name);
        buffer_add_span(&text, doc_text(reading->doc, value));
    }
    return take_object(reading, &text, "query");
}

static bool is_blank(const char *text)
{
    size_t at = 0;
    while (text[at])
        if (!is_space(next_character(span_of(text), &at)))
            return false;
    return true;
}

/* Types come before values, so each member is looked at twice where it has both. */
static void check_query_shape(struct reading *reading, uint32_t query)
{
    static const char *const texts[] = {"key", "partition", "after", "epoch"};
    static const char *const counts[] = {"take", "skip", "snapshotLimit"};
    uint32_t view = doc_member(reading->doc, query, "view");
    uint32_t filters = doc_member(reading->doc, query, "filters");
    check_members(reading, query, query_members);
    if (view == DOC_NONE || type_of(reading, view) != DOC_STRING)
        refuse_shape(reading, "view", "must be a string");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint32_t value = member(reading, query, texts[i]);
        if (value != DOC_NONE && type_of(reading, value) != DOC_STRING)
            refuse_shape(reading, texts[i], "must be a string");
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        read_count(reading, query, counts[i], 0);
    if (filters != DOC_NONE && type_of(reading, filters) != DOC_OBJECT)
        refuse_shape(reading, "filters", "must be an object of dotted path to value");
    for (size_t i = 0; i < CHOICES; i++) {
        uint32_t value = member(reading, query, choices[i].name);
        if (value != DOC_NONE && type_of(reading, value) != choices[i].type)
            refuse_shape(reading, choices[i].name, choices[i].wrong);
    }
}

static void read_query(struct reading *reading, uint32_t query, struct wire_message *message)
{
    struct wire_subscribe *subscribe = &message->subscribe;
    subscribe->view = read_text(reading, doc_member(reading->doc, query, "view"), "view");
    if (subscribe->view && is_blank(subscribe->view))
        refuse_value(reading, "view", "must not be empty");
    subscribe->key = read_text(reading, member(reading, query, "key"), "key");
    subscribe->after = read_text(reading, member(reading, query, "after"), "after");
    subscribe->epoch = read_text(reading, member(reading, query, "epoch"), "epoch");
    subscribe->take = read_count(reading, query, "take", 1);
    subscribe->skip = read_count(reading, query, "skip", 0);
    subscribe->snapshot_limit = read_count(reading, query, "snapshotLimit", 1);
    if (!reading->refused)
        subscribe->query = read_choice(reading, query);
    if (!reading->refused)
        subscribe->parameters = print_query(reading, query, 2); /* behind view and key */
    if (!reading->refused)
        message->query = print_query(reading, query, 0);
}

/* ---- messages ---- */

static bool read_snapshot(struct reading *reading, uint32_t object)
{
    static const char *const known[] = {"enabled", NULL};
    uint32_t snapshot = doc_member(reading->doc, object, "snapshot"), enabled;
    if (snapshot == DOC_NONE)
        return true;
    if (type_of(reading, snapshot) != DOC_OBJECT) {
        refuse_shape(reading, "snapshot", "must be an object");
        return true;
    }
    check_members(reading, snapshot, known);
    enabled = doc_member(reading->doc, snapshot, "enabled");
    if (enabled != DOC_NONE && type_of(reading, enabled) != DOC_TRUE &&
        type_of(reading, enabled) != DOC_FALSE)
        refuse_shape(reading, "enabled", "must be true or false");
    return enabled == DOC_NONE || type_of(reading, enabled) == DOC_TRUE;
}

static void read_subscribe(struct reading *reading, uint32_t object, struct wire_message *message)
{
    static const char *const known[] = {"type",  "protocolVersion", "subscriptionId",
                                        "query", "snapshot",        NULL};
    const char *wrong_id;
    uint32_t query = doc_member(reading->doc, object, "query");
    message->id = read_id(reading, object, &wrong_id);
    check_shape_of_both(reading, object);
    check_members(reading, object, known);
    message->subscribe.with_snapshot = read_snapshot(reading, object);
    message->subscribe.unlimited = message->subscribe.by_position = true;
    if (query == DOC_NONE || type_of(reading, query) != DOC_OBJECT)
        refuse_shape(reading, "query", "must be an object");
    else
        check_query_shape(reading, query);
    check_values_of_both(reading, object, wrong_id);
    if (!reading->refused)
        read_query(reading, query, message);
}

static void read_unsubscribe(struct reading *reading, uint32_t object, struct wire_message *message)
{
    static const char *const known[] = {"type", "protocolVersion", "subscriptionId", NULL};
    const char *wrong_id;
    message->id = read_id(reading, object, &wrong_id);
    check_shape_of_both(reading, object);
    check_members(reading, object, known);
    check_values_of_both(reading, object, wrong_id);
}

/* The published client for Python sends its version with it. */
static void read_refresh(struct reading *reading, uint32_t object, struct wire_message *message)
{
    static const char *const known[] = {"type", "protocolVersion", "token", NULL};
    uint32_t token = doc_member(reading->doc, object, "token");
    check_members(reading, object, known);
    if (token == DOC_NONE)
        refuse_shape(reading, "token", "is missing");
    else
        message->token = read_text(reading, token, "token");
}

static bool is_type(const struct reading *reading, uint32_t object, const char *name)
{
    uint32_t value = doc_member(reading->doc, object, "type");
    return value != DOC_NONE && span_equal(doc_text(reading->doc, value), span_of(name));
}

bool wire_message_is_v2(const struct doc *doc, uint32_t object)
{
    uint32_t version, id;
    int64_t number;
    if (doc->nodes[object].type != DOC_OBJECT)
        return false;
    version = doc_member(doc, object, "protocolVersion");
    id = doc_member(doc, object, "subscriptionId");
    if (id != DOC_NONE && doc_member(doc, object, "view") == DOC_NONE)
        return true;
    return version != DOC_NONE && doc->nodes[version].type != DOC_NULL &&
           (!doc_integer(doc, version, &number) || number != 1);
}

bool wire_message_read_v2(const struct doc *doc, uint32_t object, struct wire_message *message,
                          struct error *error)
{
    struct reading reading = {.doc = doc, .error = error};
    const char *wrong_id;
    message->version = 2;
    if (is_type(&reading, object, "\"subscribe\"")) {
        message->type = WIRE_SUBSCRIBE;
        read_subscribe(&reading, object, message);
    } else if (is_type(&reading, object, "\"unsubscribe\"")) {
        message->type = WIRE_UNSUBSCRIBE;
        read_unsubscribe(&reading, object, message);
    } else if (is_type(&reading, object, "\"ping\"")) {
        message->type = WIRE_PING;
    } else if (is_type(&reading, object, "\"refresh_auth\"")) {
        message->type = WIRE_REFRESH_AUTH;
        read_refresh(&reading, object, message);
    } else {
        message->id = read_id(&reading, object, &wrong_id);
        refuse_shape(&reading, "type",
                     "must be \"subscribe\", \"unsubscribe\", \"ping\" or \"refresh_auth\"");
    }
    return !reading.refused;
}
