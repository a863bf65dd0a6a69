#include "delivery_client.h"

#include <stdio.h>
#include <stdlib.h>

void client_init(struct client *client)
{
    client->rows = json_object();
    client->of_v2.staged = json_array();
    client->of_v2.versions = json_object();
    client->of_tape.whole = json_object();
    buffer_init(&client->message, 1 << 26);
    buffer_init(&client->shown, 1 << 26);
    buffer_init(&client->of_v2.head, WIRE_HEAD);
    wire_head(&client->of_v2.head, span_of("c"));
}

void client_fini(struct client *client)
{
    client_cut(client);
    json_decref(client->rows);
    json_decref(client->of_v2.staged);
    json_decref(client->of_v2.versions);
    json_decref(client->of_tape.whole);
    buffer_fini(&client->message);
    buffer_fini(&client->shown);
    buffer_fini(&client->of_v2.head);
}

static void note_wake(void *argument)
{
    ((struct client *)argument)->woken = true;
}

/* All that its tape told. */
static void forget_tape(struct client *client)
{
    json_object_clear(client->rows);
    json_object_clear(client->of_tape.whole);
    client->of_tape.position = 0;
    client->of_tape.from_start = false;
    client->seq[0] = 0;
}

/* The message whose query this is. */
static json_t *name_query(const struct client *client, json_t *query)
{
    return json_pack("{s:s,s:i,s:s,s:o,s:{s:b}}", "type", "subscribe", "protocolVersion", 2,
                     "subscriptionId", "c", "query", query, "snapshot", "enabled",
                     client->with_snapshot);
}

char *client_prepare(struct client *client)
{
    json_t *message = json_object();
    client->complete = client->keeps = false;
    client->of_v2.adds = client->of_v2.begun = false;
    client->of_tape.ended = false;
    if (client->tape && !client->resumes)
        forget_tape(client);
    json_array_clear(client->of_v2.staged);
    buffer_clear(&client->message);
    if (!client->v2)
        json_object_set_new(message, "type", json_string("subscribe"));
    json_object_set_new(message, "view", json_string(client->view));
    if (client->key)
        json_object_set_new(message, "key", json_string(client->key));
    if (!client->with_snapshot && !client->v2)
        json_object_set_new(message, "withSnapshot", json_false());
    if (client->limit)
        json_object_set_new(message, "snapshotLimit", json_integer(client->limit));
    if (client->take)
        json_object_set_new(message, "take", json_integer(client->take));
    bool partial = client->limit || !client->with_snapshot;
    if (client->pages && !client->frames)
        snprintf(client->seq, sizeof client->seq, "0:0");
    snprintf(client->asked, sizeof client->asked, "%s", client->resumes ? client->seq : "");
    if (client->asked[0]) {
        json_object_set_new(message, "after", json_string(client->seq));
        if (client->epoch[0] && !client->tape)
            json_object_set_new(message, "epoch", json_string(client->epoch));
    }
    /* One that was cut off before its first cursor begins anew. */
    bool anew =
        client->pages ? !client->seq[0] : client->limit || !client->resumes || !client->seq[0];
    if (partial && anew && !client->tape)
        json_object_clear(client->rows); /* a part of what there is, and another part each time */
    if (client->v2)
        message = name_query(client, message);
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    return text;
}

/* As the session does for version 2. */
static void subscribe_v2(struct client *client, const char *text)
{
    struct wire_message message;
    struct error error = {.code = ERROR_NONE};
    if (!wire_message_read(span_of(text), &message, &error) ||
        !subscriber_subscribe(client->subscriber, &message.subscribe, &error))
        snprintf(client->problem, sizeof client->problem, "refused: %s", error.message);
    wire_message_fini(&message);
}

bool client_subscribe(struct client *client, struct hub *hub, const char *message)
{
    client->hub = hub;
    client->subscriber =
        subscriber_new(hub, &(struct subscriber_options){.wake = note_wake, .argument = client});
    if (client->subscriber && client->v2)
        subscriber_write_bodies(client->subscriber, buffer_span(&client->of_v2.head));
    if (client->subscriber && client->identity &&
        !subscriber_set_identity(client->subscriber, client->identity))
        client_cut(client);
    if (client->subscriber && client->v2)
        subscribe_v2(client, message);
    else if (client->subscriber)
        subscriber_message(client->subscriber, span_of(message));
    return client->subscriber != NULL;
}

void client_connect(struct client *client, struct hub *hub)
{
    char *message = client_prepare(client);
    client_subscribe(client, hub, message);
    free(message);
}

void client_cut(struct client *client)
{
    subscriber_free(client->subscriber);
    client->subscriber = NULL;
}

/* ---- applying frames ---- */

static bool listed(json_t *paths, const char *path)
{
    for (size_t i = 0; i < json_array_size(paths); i++)
        if (strcmp(json_string_value(json_array_get(paths, i)), path) == 0)
            return true;
    return false;
}

static json_t *merge(json_t *target, json_t *source, json_t *paths, const char *prefix)
{
    if (!json_is_object(target) || !json_is_object(source))
        return json_deep_copy(source);
    json_t *result = json_deep_copy(target), *value;
    const char *name;
    json_object_foreach(source, name, value)
    {
        char path[512];
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", name);
        json_t *old = json_object_get(result, name), *merged;
        if (json_is_array(value) && json_is_array(old) && listed(paths, path)) {
            merged = json_copy(old);
            json_array_extend(merged, value);
        } else {
            merged = merge(old, value, paths, path);
        }
        json_object_set_new(result, name, merged);
    }
    return result;
}

static void show(struct client *client, const char *key, json_t *row)
{
    if (client->judge)
        client->judge(client, key, row);
}

static void apply_snapshot(struct client *client, json_t *frame)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(frame, "data"), i, row)
    {
        const char *key = json_string_value(json_object_get(row, "key"));
        show(client, key, json_object_get(row, "data"));
        json_object_set(client->rows, key, json_object_get(row, "data"));
    }
    if (json_is_true(json_object_get(frame, "complete"))) {
        client->complete = true;
        client->keeps = false;
        if (client->completed)
            client->completed(client);
    }
}

/* The version is taken out of the row; whether the client has it, or a newer one. */
static bool take_version(struct client *client, const char *key, json_t *data)
{
    json_t *version = json_object_get(data, "_version");
    const char *colon = version ? strchr(json_string_value(version), ':') : NULL;
    if (!colon) {
        snprintf(client->problem, sizeof client->problem, "no version in a row of '%s'", key);
        return false;
    }
    long long number = atoll(colon + 1);
    json_t *held = json_object_get(client->of_v2.versions, key);
    bool is_old = held && json_object_get(client->rows, key) && json_integer_value(held) >= number;
    json_object_del(data, "_version");
    if (!is_old)
        json_object_set_new(client->of_v2.versions, key, json_integer(number));
    return is_old;
}

/* Rows of a snapshot count together. */
static void stage_snapshot(struct client *client, json_t *frame, bool completes)
{
    size_t i;
    json_t *row;
    json_array_extend(client->of_v2.staged, json_object_get(frame, "data"));
    if (!completes)
        return;
    if (!client->of_v2.adds) {
        json_object_clear(client->rows);
        client->seq[0] = 0;
    }
    json_array_foreach(client->of_v2.staged, i, row)
    {
        const char *key = json_string_value(json_object_get(row, "key"));
        json_t *data = json_object_get(row, "data");
        if (take_version(client, key, data))
            continue;
        show(client, key, data);
        json_object_set(client->rows, key, data);
    }
    json_array_clear(client->of_v2.staged);
    client->of_v2.adds = client->of_v2.begun = true;
    const char *seq = json_string_value(json_object_get(frame, "seq"));
    if (!seq)
        return;
    snprintf(client->seq, sizeof client->seq, "%s", seq);
    client->complete = true;
    if (client->completed)
        client->completed(client);
}

static void apply_patch(struct client *client, json_t *frame, const char *key)
{
    json_t *old = json_object_get(client->rows, key), *data = json_object_get(frame, "data");
    json_t *paths = json_object_get(frame, "append");
    client->patches++;
    json_object_set_new(client->rows, key,
                        old ? merge(old, data, paths, "") : json_deep_copy(data));
    show(client, key, data);
    show(client, key, json_object_get(client->rows, key));
    if (!old && strstr(client->view, "/append") == NULL && strstr(client->view, "/events") == NULL)
        snprintf(client->problem, sizeof client->problem,
                 "a patch for '%s', which was never sent whole", key);
}

/* ---- a tape ---- */

static void begin_tape(struct client *client, json_t *frame)
{
    json_t *window = json_object_get(frame, "replayWindow");
    const char *epoch = json_string_value(json_object_get(window, "epoch"));
    long long earliest = json_integer_value(json_object_get(window, "earliest"));
    snprintf(client->epoch, sizeof client->epoch, "%s", epoch ? epoch : "");
    if (!client->asked[0])
        client->of_tape.from_start = earliest == 1;
    if (!epoch || client->of_tape.position + 1 < (client->asked[0] ? earliest : 0))
        snprintf(client->problem, sizeof client->problem, "a tape from %lld on, behind %lld",
                 earliest, client->of_tape.position);
}

/* What an event says is applied whatever versions say. */
static void apply_event(struct client *client, json_t *frame)
{
    const char *op = json_string_value(json_object_get(frame, "op"));
    const char *key = json_string_value(json_object_get(frame, "key"));
    long long position = json_integer_value(json_object_get(frame, "offset"));
    json_t *data = json_object_get(frame, "data");
    if (position <= client->of_tape.position)
        snprintf(client->problem, sizeof client->problem, "event %lld behind %lld", position,
                 client->of_tape.position);
    client->of_tape.position = position;
    snprintf(client->seq, sizeof client->seq, "%.40s:%lld", client->epoch, position);
    if (!json_is_null(data) && json_object_del(data, "_version") != 0)
        snprintf(client->problem, sizeof client->problem, "no version in event %lld", position);
    if (strcmp(op, "patch") == 0) {
        apply_patch(client, frame, key);
        return;
    }
    bool is_gone = json_is_null(data);
    client->upserts += !is_gone;
    client->deletes += is_gone;
    json_object_set_new(client->of_tape.whole, key, json_true());
    show(client, key, is_gone ? NULL : data);
    if (is_gone)
        json_object_del(client->rows, key);
    else
        json_object_set(client->rows, key, data);
}

/* It may be refused for its cursor, or left behind. */
static void end_tape(struct client *client, json_t *frame)
{
    const char *code = json_string_value(json_object_get(frame, "code"));
    client->refused++;
    client->of_tape.ended = true;
    forget_tape(client);
    if (strcmp(code, "cursor-expired") != 0 && strcmp(code, "cursor-epoch-changed") != 0)
        snprintf(client->problem, sizeof client->problem, "a tape ended with %s", code);
}

static void apply_tape(struct client *client, json_t *frame, enum wire_part part)
{
    client->frames++;
    if (part == WIRE_PROBLEM)
        end_tape(client, frame);
    else if (part == WIRE_ACCEPTED)
        begin_tape(client, frame);
    else if (part == WIRE_LAST_BATCH)
        client->complete = true; /* the past ends here */
    else
        apply_event(client, frame);
}

static void apply_v2(struct client *client, json_t *frame, enum wire_part part)
{
    const char *op = json_string_value(json_object_get(frame, "op"));
    const char *key = json_string_value(json_object_get(frame, "key"));
    const char *seq = json_string_value(json_object_get(frame, "seq"));
    json_t *data = json_object_get(frame, "data");
    if (client->pages && client->complete)
        return;
    client->frames++;
    if (part == WIRE_PROBLEM) {
        snprintf(client->problem, sizeof client->problem, "an error: %s",
                 json_string_value(json_object_get(frame, "message")));
    } else if (part == WIRE_ACCEPTED || part == WIRE_RESUMED) {
        snprintf(client->epoch, sizeof client->epoch, "%s",
                 json_string_value(json_object_get(frame, "epoch")));
        client->of_v2.adds = part == WIRE_RESUMED;
        client->resumed += part == WIRE_RESUMED;
        client->refused += json_is_false(json_object_get(frame, "resumed"));
        if (part == WIRE_ACCEPTED && !client->with_snapshot)
            json_object_clear(client->rows);
        json_array_clear(client->of_v2.staged);
    } else if (part == WIRE_BATCH || part == WIRE_LAST_BATCH) {
        stage_snapshot(client, frame, part == WIRE_LAST_BATCH);
    } else if (strcmp(op, "patch") == 0) {
        if (!take_version(client, key, data))
            apply_patch(client, frame, key);
    } else if (strcmp(op, "upsert") == 0) {
        client->upserts++;
        if (!take_version(client, key, data)) {
            show(client, key, data);
            json_object_set(client->rows, key, data);
        }
    } else {
        client->deletes++;
        show(client, key, NULL);
        json_object_del(client->rows, key);
    }
    bool is_live = part == WIRE_LIVE || part == WIRE_WHOLE;
    if (seq && is_live && (client->of_v2.begun || !client->with_snapshot))
        snprintf(client->seq, sizeof client->seq, "%s", seq);
}

static void apply(struct client *client, json_t *frame)
{
    const char *op = json_string_value(json_object_get(frame, "op"));
    const char *key = json_string_value(json_object_get(frame, "key"));
    const char *seq = json_string_value(json_object_get(frame, "seq"));
    if (client->pages && client->complete)
        return;
    client->frames++;
    if (!op) {
        snprintf(client->problem, sizeof client->problem, "an error: %s",
                 json_string_value(json_object_get(frame, "message")));
    } else if (strcmp(op, "subscribed") == 0) {
        json_t *resumed = json_object_get(frame, "resumed");
        snprintf(client->epoch, sizeof client->epoch, "%s",
                 json_string_value(json_object_get(frame, "epoch")));
        client->resumed += json_is_true(resumed);
        client->refused += json_is_false(resumed);
        if (json_is_false(resumed) && !client->keeps) {
            json_object_clear(client->rows);
            client->seq[0] = 0;
        }
    } else if (strcmp(op, "snapshot") == 0) {
        apply_snapshot(client, frame);
    } else if (strcmp(op, "patch") == 0) {
        apply_patch(client, frame, key);
    } else if (strcmp(op, "upsert") == 0) {
        client->upserts++;
        show(client, key, json_object_get(frame, "data"));
        json_object_set(client->rows, key, json_object_get(frame, "data"));
    } else if (strcmp(op, "delete") == 0) {
        client->deletes++;
        show(client, key, NULL);
        json_object_del(client->rows, key);
    }
    if (seq)
        snprintf(client->seq, sizeof client->seq, "%s", seq);
}

/* A body is an object behind its first members. */
static json_t *parse_body(struct span body)
{
    struct buffer text;
    buffer_init(&text, 1 << 26);
    buffer_add_char(&text, '{');
    buffer_add_span(&text, body);
    json_t *frame = json_loadb(text.data, text.length, 0, NULL);
    buffer_fini(&text);
    return frame;
}

static void apply_payload(struct client *client, struct span payload, enum wire_part part)
{
    struct error error;
    struct buffer plain;
    buffer_init(&plain, 1 << 26);
    if (payload.length > 2 && (unsigned char)payload.data[0] == 0x1f) {
        if (!wire_gunzip(payload, &plain, &error))
            snprintf(client->problem, sizeof client->problem, "gzip: %s", error.message);
        payload = buffer_span(&plain);
    }
    json_t *frame = part != WIRE_WHOLE ? parse_body(payload)
                                       : json_loadb(payload.data, payload.length, 0, NULL);
    if (frame && client->tape)
        apply_tape(client, frame, part);
    else if (frame && client->v2)
        apply_v2(client, frame, part);
    else if (frame)
        apply(client, frame);
    else
        snprintf(client->problem, sizeof client->problem, "not JSON: %.100s", payload.data);
    json_decref(frame);
    buffer_fini(&plain);
}

/* At most so many frames (negative: all); returns how many are left of that. */
static long take_frames(struct client *client, struct span bytes, long frames)
{
    struct span payload;
    bool final;
    while (bytes.length && frames != 0 && !client->of_tape.ended) {
        size_t length = wire_frame_length(bytes);
        if (!client->message.length)
            client->part = wire_part_of(bytes);
        wire_frame_payload(span_make(bytes.data, length), &payload, &final);
        buffer_add_span(&client->message, payload);
        bytes = span_make(bytes.data + length, bytes.length - length);
        if (!final)
            continue;
        apply_payload(client, buffer_span(&client->message), client->part);
        buffer_clear(&client->message);
        frames--;
    }
    return frames;
}

void client_take(struct client *client, struct span bytes)
{
    take_frames(client, bytes, -1);
}

enum { PIECES = 3, PARTS = 4 };

/* The bytes that a socket gets that takes a part of what lies ready, now a smaller and now a larger
 * one, and what it must get next. */
static struct span take_shown(struct client *client)
{
    static unsigned turns;
    struct span pieces[PIECES];
    struct buffer *got = &client->shown;
    size_t count = subscriber_supply.show(client->subscriber, pieces, PIECES);
    buffer_clear(got);
    for (size_t i = 0; i < count; i++)
        buffer_add_span(got, pieces[i]);
    if (!count)
        return span_make(NULL, 0);
    size_t length = got->length, taken = length * (turns++ % (PARTS + 1)) / PARTS;
    got->length = taken;
    struct supply_taken it = subscriber_supply.took(client->subscriber, taken, taken == length);
    buffer_add_span(got, it.rest);
    struct wire_run run = wire_measure(buffer_span(got));
    if (run.unfinished || run.messages != it.run.messages || run.payload != it.run.payload)
        snprintf(client->problem, sizeof client->problem,
                 "%zu messages of %zu bytes, not %zu of %zu", run.messages, run.payload,
                 it.run.messages, it.run.payload);
    return buffer_span(got);
}

/* As a session does. */
static struct span next_bytes(struct client *client)
{
    struct span bytes = take_shown(client);
    return bytes.length ? bytes : subscriber_pull(client->subscriber);
}

bool client_pull(struct client *client, long frames)
{
    struct span bytes;
    bool any = false;
    while (frames != 0 && client->subscriber && (bytes = next_bytes(client)).length) {
        any = true;
        frames = take_frames(client, bytes, frames);
        if (client->of_tape.ended)
            client_cut(client);
    }
    return any;
}

bool client_is_complete(void *client)
{
    client_pull(client, -1);
    return ((struct client *)client)->complete;
}

struct auth_identity *client_token(const char *row_scopes)
{
    struct auth_identity *identity = auth_identity_anonymous();
    char *copy = row_scopes ? strdup(row_scopes) : NULL, *rest = copy, *scope;
    identity->row_scopes.items =
        memory_new((copy ? strlen(copy) + 1 : 0) * sizeof *identity->row_scopes.items);
    while ((scope = strsep(&rest, " ")))
        identity->row_scopes.items[identity->row_scopes.count++] =
            memory_copy_string(scope, strlen(scope));
    free(copy);
    return identity;
}

void client_expect(json_t *rows, const struct view *view, const struct store_entity *entity)
{
    struct buffer shown;
    buffer_init(&shown, 1 << 20);
    view_project(view, entity->data, &shown);
    json_object_setn_new(rows, entity->key.data, entity->key.length,
                         json_loadb(shown.data, shown.length, 0, NULL));
    buffer_fini(&shown);
}
