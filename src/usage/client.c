/* Clients as the endpoint is told of them: their events, and sums of what they were sent by view.
 */
#include "database/database.h"
#include "usage/usage_internal.h"

/* ---- events ---- */

static bool add_text(struct buffer *out, const char *name, const char *text)
{
    buffer_printf(out, ",\"%s\":", name);
    return text && *text ? doc_escape(out, span_of(text)) : buffer_add_string(out, "null");
}

static struct buffer *begin_event(struct usage_client *client, const char *type)
{
    struct buffer *line = &client->usage->line;
    buffer_clear(line);
    buffer_printf(line, "{\"type\":\"%s\"", type);
    buffer_add_string(line, client->identity);
    return line;
}

static void end_event(struct usage *usage, struct buffer *line)
{
    if (buffer_add_char(line, '}'))
        usage_spool_add(usage, buffer_span(line));
    else
        counter_add(&usage->metrics.dropped, 1);
}

static void tell_subscription(const struct usage_meter *meter, const char *type)
{
    struct buffer *line = begin_event(meter->client, type);
    add_text(line, "view_id", meter->view);
    end_event(meter->client->usage, line);
}

static void tell_sum(const struct usage_meter *meter, enum usage_kind kind)
{
    const struct usage_sum *sum = &meter->sums[kind];
    bool snapshot = kind == USAGE_SNAPSHOT;
    if (!sum->messages)
        return;
    struct buffer *line = begin_event(meter->client, snapshot ? "snapshot_sent" : "update_sent");
    add_text(line, "view_id", meter->view);
    if (snapshot)
        buffer_printf(line, ",\"rows\":%llu", (unsigned long long)sum->rows);
    buffer_printf(line, ",\"messages\":%llu,\"bytes\":%llu", (unsigned long long)sum->messages,
                  (unsigned long long)sum->bytes);
    end_event(meter->client->usage, line);
}

/* ---- clients ---- */

static const char *key_class_name(enum auth_key_class key_class)
{
    switch (key_class) {
    case AUTH_KEY_SECRET:
        return "secret";
    case AUTH_KEY_PUBLISHABLE:
        return "publishable";
    case AUTH_KEY_NONE:
        break;
    }
    return NULL;
}

/* `id` is JSON with its quotes. */
static char *describe(struct span id, const struct auth_identity *identity)
{
    struct buffer out;
    buffer_init(&out, USAGE_EVENT_BYTES / 2);
    buffer_add_string(&out, ",\"client_id\":");
    buffer_add_span(&out, id);
    add_text(&out, "deployment_id", identity->deployment_id);
    add_text(&out, "metering_key", identity->metering_key);
    add_text(&out, "subject", identity->subject);
    add_text(&out, "key_class", key_class_name(identity->key_class));
    buffer_string(&out);
    char *text = buffer_take(&out, NULL);
    buffer_fini(&out);
    return text;
}

enum { ID_AT = sizeof(",\"client_id\":") - 1, ID_LENGTH = DATABASE_UUID_SIZE + 1 };

struct usage_client *usage_client_new(struct usage *usage, const struct auth_identity *identity,
                                      const char *address)
{
    char id[ID_LENGTH + 1] = "\"";
    struct usage_client *client = memory_new(sizeof *client);
    if (!client)
        return NULL;
    database_new_uuid(id + 1);
    id[ID_LENGTH - 1] = '"';
    client->usage = usage;
    client->since_ms = usage_now(usage);
    client->identity = describe(span_make(id, ID_LENGTH), identity);
    link_init(&client->meters);
    if (!client->identity) {
        memory_free(client);
        return NULL;
    }
    struct buffer *line = begin_event(client, "connection_established");
    add_text(line, "remote_addr", address);
    end_event(usage, line);
    return client;
}

bool usage_client_identify(struct usage_client *client, const struct auth_identity *identity)
{
    char *text = describe(span_make(client->identity + ID_AT, ID_LENGTH), identity);
    if (!text)
        return false;
    memory_free(client->identity);
    client->identity = text;
    return true;
}

static void meter_free(struct usage_meter *meter);

void usage_client_free(struct usage_client *client, size_t subscriptions)
{
    struct usage *usage = client->usage;
    uint64_t duration = usage_now(usage) - client->since_ms;
    /* Bytes that waited among answers were not sent, but hold their meter. */
    while (!link_alone(&client->meters))
        meter_free(LINK_OWNER(struct usage_meter, in_client, client->meters.next));
    struct buffer *line = begin_event(client, "connection_closed");
    buffer_printf(line, ",\"duration_secs\":%llu.%03u,\"subscription_count\":%zu",
                  (unsigned long long)duration / 1000, (unsigned)(duration % 1000), subscriptions);
    end_event(usage, line);
    memory_free(client->identity);
    memory_free(client);
}

/* ---- meters ---- */

static struct usage_meter *meter_get(struct usage_client *client, const char *view)
{
    struct link *link = client->meters.next;
    for (; link != &client->meters; link = link->next) {
        struct usage_meter *meter = LINK_OWNER(struct usage_meter, in_client, link);
        if (strcmp(meter->view, view) == 0)
            return usage_meter_ref(meter);
    }
    size_t size = strlen(view) + 1;
    struct usage_meter *meter = memory_alloc(sizeof *meter + size);
    if (!meter)
        return NULL;
    *meter = (struct usage_meter){.client = client, .references = 1};
    memcpy(meter->view, view, size);
    link_init(&meter->in_due);
    link_init(&meter->in_client);
    link_append(&client->meters, &meter->in_client);
    return meter;
}

static void tell_sums(struct usage_meter *meter)
{
    link_remove(&meter->in_due);
    tell_sum(meter, USAGE_SNAPSHOT);
    tell_sum(meter, USAGE_UPDATE);
    memset(meter->sums, 0, sizeof meter->sums);
}

static void meter_free(struct usage_meter *meter)
{
    tell_sums(meter);
    link_remove(&meter->in_client);
    memory_free(meter);
}

struct usage_meter *usage_meter_ref(struct usage_meter *meter)
{
    if (meter)
        meter->references++;
    return meter;
}

void usage_meter_unref(struct usage_meter *meter)
{
    if (meter && --meter->references == 0)
        meter_free(meter);
}

struct usage_meter *usage_subscribed(struct usage_client *client, const char *view)
{
    struct usage_meter *meter = meter_get(client, view);
    if (meter)
        tell_subscription(meter, "subscription_created");
    else
        counter_add(&client->usage->metrics.dropped, 1);
    return meter;
}

void usage_unsubscribed(struct usage_meter *meter)
{
    if (meter)
        tell_subscription(meter, "subscription_removed");
    usage_meter_unref(meter);
}

/* Report it now. */
static void end_snapshot(struct usage_meter *meter)
{
    tell_sum(meter, USAGE_SNAPSHOT);
    meter->sums[USAGE_SNAPSHOT] = (struct usage_sum){0};
    if (!meter->sums[USAGE_UPDATE].messages)
        link_remove(&meter->in_due);
}

void usage_sent(struct usage_meter *meter, enum usage_kind kind, uint64_t rows, uint64_t messages,
                uint64_t bytes, bool ends)
{
    struct usage_sum *sum = &meter->sums[kind];
    sum->rows += rows;
    sum->messages += messages;
    sum->bytes += bytes;
    if (link_alone(&meter->in_due)) {
        struct usage *usage = meter->client->usage;
        meter->due_ms = usage_now(usage) + USAGE_SUM_MS;
        link_append(&usage->due, &meter->in_due);
    }
    if (ends)
        end_snapshot(meter);
}

bool usage_tell_due(struct usage *usage, uint64_t now)
{
    for (size_t told = 0; told < USAGE_SUMS_PER_TURN; told++) {
        if (link_alone(&usage->due))
            return false;
        struct usage_meter *meter = LINK_OWNER(struct usage_meter, in_due, usage->due.next);
        if (meter->due_ms > now)
            return false; /* those behind it are due later */
        tell_sums(meter);
    }
    return true;
}

/* ---- messages among answers ---- */

void usage_announced(struct usage_meter *meter, uint64_t bytes)
{
    if (!meter->announced.messages)
        usage_meter_ref(meter);
    meter->announced.messages++;
    meter->announced.bytes += bytes;
    meter->client->announced = true;
}

void usage_answers_settled(struct usage_client *client, bool sent)
{
    struct link *link = client->meters.next;
    if (!client->announced)
        return;
    client->announced = false;
    while (link != &client->meters) {
        struct usage_meter *meter = LINK_OWNER(struct usage_meter, in_client, link);
        struct usage_sum sum = meter->announced;
        link = link->next;
        if (!sum.messages)
            continue;
        meter->announced = (struct usage_sum){0};
        if (sent)
            usage_sent(meter, USAGE_UPDATE, 0, sum.messages, sum.bytes, false);
        usage_meter_unref(meter);
    }
}
