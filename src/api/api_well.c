/* Whether a store is alive, for who would end it otherwise. */
#include "api/api_internal.h"
#include "engine/engine.h"

struct question {
    struct api_wait wait;
    uint64_t writer_us;
};

static void answer(struct api_call *call)
{
    struct question *question = (struct question *)call;
    question->writer_us = engine_state(server_parts(call->store->server).engine).writer_busy_us;
    api_done(&question->wait, NULL);
}

bool api_is_well(stele *store, uint64_t most_us, struct error *error)
{
    struct question question = {.wait.call = {.work = answer, .abandon = api_abandon_wait}};
    if (!api_enter(store, "api_is_well", error))
        return false;
    bool answered = api_wait(store, &question.wait, error);
    api_leave(store);
    if (answered && question.writer_us > most_us)
        return error_set(error, ERROR_INTERNAL,
                         "the writer has been at one transaction for %llu seconds",
                         (unsigned long long)question.writer_us / 1000000);
    return answered;
}
