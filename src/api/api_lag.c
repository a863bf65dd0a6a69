/* How far a store is behind the log that it follows. */
#include "api/api_internal.h"

struct question {
    struct api_wait wait;
    struct server_lag lag;
};

static void answer(struct api_call *call)
{
    struct question *question = (struct question *)call;
    question->lag = server_lag(call->store->server);
    api_done(&question->wait, NULL);
}

bool api_lag(stele *store, int64_t *behind, int64_t *position, bool *has_all, struct error *error)
{
    struct question question = {.wait.call = {.work = answer, .abandon = api_abandon_wait}};
    if (!api_enter(store, "api_lag", error))
        return false;
    bool answered = api_wait(store, &question.wait, error);
    api_leave(store);
    *behind = question.lag.behind;
    *position = question.lag.position;
    *has_all = question.lag.has_all;
    return answered;
}
