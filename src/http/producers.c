/*
 * GET /v1/producers, GET and DELETE /v1/producers/NAME: the positions of producers. A subject sees
 * its own names, and names without an owner, which its next batch would make its own; it does not
 * see that others exist. Without authentication everybody sees all. An administrator may ask for
 * all, with their owners.
 */
#include "http/parts.h"

#include "follow/follow.h"
#include "http/changes.h"
#include "http/http_internal.h"
#include "http/ingest.h"
#include "store/producer.h"

enum {
    LIST_LIMIT = 100,
    MOST_LISTED = 1000,
    REPLY_BYTES = 16 * 1024 * 1024 /* MOST_LISTED with the longest names, all escaped */
};

static const char list_path[] = "/v1/producers", name_prefix[] = "/v1/producers/";
static const char all_argument[] = "all=1";

static bool has_path(struct span path)
{
    return span_equal(path, span_of(list_path)) || span_starts_with(path, name_prefix);
}

/* ---- a question, on its way ---- */

struct question {
    union {
        struct read_job read;
        struct write_job write;         /* to forget one, */
        struct publication publication; /* ... through the log of a node */
    } job;
    struct http_request *request;
    struct buffer texts, out, body;
    struct span owner; /* in `texts`, like the following; absent: every name */
    struct span name;  /* absent: the list */
    struct span after;
    int64_t limit, count;
    bool all; /* of every owner, who is named */
    bool found, more;
    struct error error;
};

static void question_free(struct question *question)
{
    buffer_fini(&question->texts);
    buffer_fini(&question->out);
    buffer_fini(&question->body);
    memory_free(question);
}

static void print_owner(struct buffer *out, struct span owner)
{
    buffer_add_string(out, ",\"owner\":");
    if (owner.data)
        doc_escape(out, owner);
    else
        buffer_add_string(out, "null");
}

static void print(struct question *question, const struct store_producer *producer)
{
    struct buffer *out = &question->out;
    buffer_add_string(out, "{\"name\":");
    doc_escape(out, producer->name);
    buffer_printf(out, ",\"batch\":%lld,\"seq\":", (long long)producer->batch);
    if (producer->has_seq) {
        char seq[SEQ_SIZE];
        size_t length = seq_print(seq, producer->seq);
        buffer_printf(out, "\"%.*s\"", (int)length, seq);
    } else {
        buffer_add_string(out, "null");
    }
    buffer_printf(out, ",\"time\":%lld.%03d", (long long)(producer->at / 1000),
                  (int)(producer->at % 1000));
    if (producer->mark.data) {
        buffer_add_string(out, ",\"mark\":");
        doc_escape(out, producer->mark);
    }
    if (question->all)
        print_owner(out, producer->owner);
    buffer_add_char(out, '}');
}

static bool is_mine(const struct question *question, const struct store_producer *producer)
{
    return !question->owner.data ||
           (producer->owner.data && span_equal(question->owner, producer->owner));
}

static bool is_shown(const struct question *question, const struct store_producer *producer)
{
    return is_mine(question, producer) || !producer->owner.data;
}

/* ---- GET, on a reader ---- */

static bool print_listed(void *argument, const struct store_producer *producer)
{
    struct question *question = argument;
    question->more = question->count == question->limit;
    if (question->more)
        return false;
    buffer_add_string(&question->out, question->count++ ? ",\n" : "\n");
    print(question, producer);
    return true;
}

static bool read_list(struct question *question, struct store_reader *reader)
{
    struct store_producer_scan scan = {
        .owner = question->owner, .after = question->after, .limit = question->limit + 1};
    buffer_add_string(&question->out, "{\"producers\":[");
    bool done = store_read_producers(reader, &scan, print_listed, question, &question->error);
    buffer_printf(&question->out, "\n],\"more\":%s}\n", question->more ? "true" : "false");
    question->found = true;
    return done;
}

static bool read_one(struct question *question, struct store_reader *reader)
{
    struct store_producer producer;
    bool found;
    if (!store_read_producer(reader, question->name, &producer, &found, &question->error))
        return false;
    question->found = found && is_shown(question, &producer);
    if (question->found)
        print(question, &producer);
    buffer_add_char(&question->out, '\n');
    return true;
}

static void run_read(struct read_job *job, struct store_reader *reader)
{
    struct question *question = (struct question *)job;
    if (store_read_begin(reader, &question->error))
        question->name.data ? read_one(question, reader) : read_list(question, reader);
    store_read_end(reader);
}

/* ---- DELETE, on the writer ---- */

static bool run_forget(struct write_job *job, struct store_writer *store, struct error *error)
{
    struct question *question = (struct question *)job;
    struct store_producer producer;
    bool found;
    buffer_clear(&question->out);
    if (!store_read_producer(store_writer_reader(store), question->name, &producer, &found, error))
        return false;
    question->found = found && is_mine(question, &producer);
    if (!question->found)
        return true;
    print(question, &producer);
    buffer_add_char(&question->out, '\n');
    return store_producer_remove(store, question->name, error);
}

/* ---- answers ---- */

static void answer(struct question *question)
{
    struct error *error = &question->error;
    struct http_content content = {
        .status = 200, .type = HTTP_JSON, .headers = "Cache-Control: no-store\r\n"};
    if (error->code == ERROR_NONE && !question->found)
        error_set(error, ERROR_NOT_FOUND,
                  "there is no producer '%.*s' of this subject; GET /v1/producers lists them",
                  (int)question->name.length, question->name.data);
    if (error->code == ERROR_NONE && question->out.failed)
        error_set(error, ERROR_MEMORY, "out of memory while listing producers");
    if (error->code == ERROR_NONE)
        http_request_respond_large(question->request, &content, &question->out);
    else
        http_request_respond_error(question->request, error);
    question_free(question);
}

static void on_read(struct engine_event *event)
{
    struct question *question = (struct question *)event;
    http_request_end_read(question->request);
    answer(question);
}

static void on_forgotten(struct engine_event *event)
{
    struct question *question = (struct question *)event;
    if (question->job.write.error.code != ERROR_NONE)
        question->error = question->job.write.error;
    http_changes_wake(question->request->http);
    answer(question);
}

static void on_forgotten_by_all(struct publication *publication, const struct submission *applied)
{
    struct question *question = LINK_OWNER(struct question, job.publication, publication);
    const struct store_producer *row = applied ? applied->command.producer : NULL;
    if (applied)
        question->error = applied->error;
    question->found = row != NULL;
    if (row) {
        print(question, row);
        buffer_add_char(&question->out, '\n');
    }
    http_changes_wake(question->request->http);
    answer(question);
}

/* ---- what is asked ---- */

static struct span keep(struct question *question, struct span text)
{
    size_t at = question->texts.length;
    buffer_add_span(&question->texts, text);
    return span_make(question->texts.data + at, text.length);
}

static bool read_limit(struct question *question, struct span value, struct error *error)
{
    int64_t limit = 0;
    bool good = value.length > 0 && value.length < 6;
    for (size_t i = 0; good && i < value.length; i++) {
        good = value.data[i] >= '0' && value.data[i] <= '9';
        limit = limit * 10 + (value.data[i] - '0');
    }
    question->limit = limit;
    return (good && limit > 0 && limit <= MOST_LISTED) ||
           error_set(error, ERROR_INVALID_PARAMETER, "'limit' must be a number from 1 to %d",
                     MOST_LISTED);
}

static bool read_argument(struct question *question, struct span argument, struct error *error)
{
    struct span token;
    if (!argument.length || access_is_token(argument, &token) ||
        (question->all && span_equal(argument, span_of(all_argument))))
        return true;
    if (!doc_valid_utf8(argument))
        return error_set(error, ERROR_INVALID_PARAMETER, "the query is not valid UTF-8");
    if (question->name.data)
        return error_set(error, ERROR_INVALID_PARAMETER, "one producer takes no query");
    if (span_starts_with(argument, "after="))
        question->after = keep(question, span_make(argument.data + 6, argument.length - 6));
    else if (span_starts_with(argument, "limit="))
        return read_limit(question, span_make(argument.data + 6, argument.length - 6), error);
    else
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "there is no parameter '%.*s'; use after, limit or all=1",
                         argument.length > 64 ? 64 : (int)argument.length, argument.data);
    return true;
}

static bool read_query(struct question *question, const struct net_connection *connection,
                       struct error *error)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_state(connection).request->query, argument;
    size_t at = 0;
    question->limit = LIST_LIMIT;
    while ((argument = http_next_argument(query, &at, room)).data)
        if (!read_argument(question, argument, error))
            return false;
    return true;
}

/* Before the rest of the query, because it decides who may ask. */
static bool wants_all(const struct net_connection *connection)
{
    char room[HTTP_TARGET_LIMIT];
    struct span query = net_state(connection).request->query, argument;
    size_t at = 0;
    while ((argument = http_next_argument(query, &at, room)).data)
        if (span_equal(argument, span_of(all_argument)))
            return true;
    return false;
}

static struct question *question_new(const struct principal *principal,
                                     const struct net_connection *connection, struct span path,
                                     bool all, struct error *error)
{
    struct question *question = memory_new(sizeof *question);
    struct ingest_sender sender = frontend_sender(principal);
    size_t prefix = sizeof name_prefix - 1;
    if (!question) {
        error_set(error, ERROR_MEMORY, "out of memory while taking a request");
        return NULL;
    }
    buffer_init(&question->out, REPLY_BYTES);
    buffer_init(&question->body, REPLY_BYTES);
    /* It must not move under the spans into it. */
    size_t room = path.length + sender.subject.length + HTTP_TARGET_LIMIT;
    buffer_init(&question->texts, room);
    bool good = buffer_reserve(&question->texts, room) ||
                error_set(error, ERROR_MEMORY, "out of memory while taking a request");
    question->all = all;
    if (good && sender.subject.data && !all)
        question->owner = keep(question, sender.subject);
    if (good && path.length >= prefix)
        question->name = keep(question, span_make(path.data + prefix, path.length - prefix));
    if (good && read_query(question, connection, error))
        return question;
    question_free(question);
    return NULL;
}

/* ---- requests ---- */

static bool forget_everywhere(struct follow *follow, struct question *question)
{
    if (!ingest_is_producer(question->name) || !doc_valid_utf8(question->name))
        return false; /* there is none, so there is nothing to publish */
    question->job.publication = (struct publication){
        .subject = question->owner, .error = &question->error, .answer = on_forgotten_by_all};
    return follow_forget(follow, &question->job.publication, &question->body, question->name,
                         &question->error);
}

static void ask(struct http *http, struct question *question, bool forget)
{
    bool taken;
    http_request_await(question->request);
    if (forget && http->frontend->follow) {
        if (!forget_everywhere(http->frontend->follow, question))
            answer(question);
        return;
    }
    if (forget) {
        question->job.write = (struct write_job){.event.deliver = on_forgotten, .run = run_forget};
        taken = engine_write(http->frontend->engine, &question->job.write);
    } else {
        question->job.read = (struct read_job){.event.deliver = on_read, .run = run_read};
        question->job.read.owner = question->request->owner;
        taken = http_request_begin_read(question->request) &&
                engine_read(http->frontend->engine, &question->job.read);
        if (!taken)
            http_request_end_read(question->request);
    }
    if (taken)
        return;
    error_set(&question->error, ERROR_QUEUE_FULL, "too many requests wait; try again later");
    answer(question);
}

static void start(struct http *http, struct net_connection *connection, struct principal *principal,
                  struct span path, bool forget, bool all)
{
    struct error error;
    struct http_request *request = NULL;
    struct question *question = NULL;
    if (http_admit(http, principal, forget ? HTTP_INGEST : HTTP_READ, &error) &&
        (!forget || ingest_takes(http->frontend->ingest, &error)))
        question = question_new(principal, connection, path, all, &error);
    if (question && forget && span_equal(question->name, span_of(ENGINE_LOG_PRODUCER))) {
        question_free(question);
        question = NULL;
        error_set(&error, ERROR_INVALID_PARAMETER,
                  "'" ENGINE_LOG_PRODUCER "' is the server's own position in its log, which stays");
    }
    if (question) {
        request = http_request_new(http, connection, 0, principal);
        if (!request)
            error_set(&error, ERROR_MEMORY, "out of memory while taking a request");
    }
    principal_fini(principal); /* unless it was moved */
    if (request) {
        question->request = request;
        ask(http, question, forget);
        return;
    }
    if (question)
        question_free(question);
    http_respond_error(connection, &error, NULL);
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    enum http_method method = net_state(connection).request->method;
    struct principal principal;
    struct error error;
    if (!has_path(path))
        return false;
    bool one = span_starts_with(path, name_prefix);
    bool forget = one && method == HTTP_DELETE;
    bool all = !forget && wants_all(connection);
    if (method != HTTP_GET && method != HTTP_HEAD && !forget) {
        error_set(&error, ERROR_METHOD_NOT_ALLOWED, "%s takes GET%s",
                  one ? "a producer" : list_path, one ? " and DELETE" : "");
        http_respond_error(connection, &error,
                           one ? "Allow: GET, HEAD, DELETE\r\n" : "Allow: GET, HEAD\r\n");
    } else if (!access_enter(http->frontend->access, connection,
                             all ? PERMISSION_PRODUCERS : PERMISSION_FEED, &principal, &error)) {
        http_respond_error(connection, &error, NULL);
    } else {
        start(http, connection, &principal, path, forget, all);
    }
    return true;
}

const struct http_part http_producers_part = {.request = answer_request};
