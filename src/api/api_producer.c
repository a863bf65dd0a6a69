/* The position of a producer. */
#include "api/api_internal.h"
#include "engine/engine.h"
#include "store/producer.h"

struct question {
    struct api_wait wait;
    struct read_job job;
    const char *name;
    stele_producer *producer;
    struct error error;
};

static void copy(char *to, size_t size, struct span text)
{
    size_t length = text.length < size ? text.length : size - 1;
    if (length)
        memcpy(to, text.data, length);
    to[length] = '\0';
}

static bool read_producer(struct question *question, struct store_reader *reader)
{
    stele_producer *producer = question->producer;
    struct store_producer row;
    bool found;
    if (!store_read_producer(reader, span_of(question->name), &row, &found, &question->error))
        return false;
    if (!found)
        return true;
    producer->batch = row.batch;
    producer->time_ms = row.at;
    if (row.has_seq)
        seq_print(producer->seq, row.seq);
    copy(producer->mark, sizeof producer->mark, row.mark);
    return true;
}

_Static_assert(sizeof(((stele_producer *)0)->seq) >= SEQ_SIZE, "read_producer");

static void run(struct read_job *job, struct store_reader *reader)
{
    struct question *question = (struct question *)((char *)job - offsetof(struct question, job));
    if (store_read_begin(reader, &question->error))
        read_producer(question, reader);
    store_read_end(reader);
}

static void deliver(struct engine_event *event)
{
    struct read_job *job = (struct read_job *)event;
    struct question *question = (struct question *)((char *)job - offsetof(struct question, job));
    api_done(&question->wait, question->error.code == ERROR_NONE ? NULL : &question->error);
}

static void start(struct api_call *call)
{
    struct question *question = (struct question *)call;
    if (engine_read(server_parts(call->store->server).engine, &question->job))
        return;
    error_set(&question->error, ERROR_QUEUE_FULL, "too many reads wait; try again later");
    api_done(&question->wait, &question->error);
}

bool stele_producer_position(stele *store, const char *name, stele_producer *producer,
                             stele_error *error)
{
    struct error reason = {0};
    struct question question = {.wait.call = {.work = start, .abandon = api_abandon_wait},
                                .job = {.run = run, .event.deliver = deliver},
                                .name = name,
                                .producer = producer};
    if (!api_check_text(&reason, "name", name, true))
        return api_error(error, &reason);
    if (!producer) {
        api_refuse_null(&reason, "producer");
        return api_error(error, &reason);
    }
    *producer = (stele_producer){.batch = -1};
    if (!api_enter(store, "stele_producer_position", &reason))
        return api_error(error, &reason);
    bool done = api_wait(store, &question.wait, &reason);
    api_leave(store);
    return done || api_error(error, &reason);
}
