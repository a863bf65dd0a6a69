/*
 * Reading the configuration again: files on the thread that asked, the rest on the loop.
 */
#include "api/api_internal.h"

struct reload_call {
    struct api_wait wait;
    struct server_reload *reload;
};

static void put_in_force(struct api_call *call)
{
    struct reload_call *mine = (struct reload_call *)call;
    struct stele *store = call->store;
    server_reload_apply(store->server, mine->reload, &store->config);
    api_done(&mine->wait, NULL);
}

/* Authentication can go while the server runs, the addresses that it listens at cannot. They are
 * changed by nobody, and all else by whoever holds `reloading`, as we do. */
static bool check_exposure(const struct stele *store, const struct config *fresh,
                           struct error *error)
{
    const struct config after = {.listen = store->config.listen,
                                 .health = store->config.health,
                                 .auth.mode = fresh->auth.mode};
    return store->options.insecure || config_check_exposure(&after, error) ||
           error_prefix(error, "until a restart");
}

static bool reload(struct stele *store, struct error *error)
{
    struct config config;
    struct reload_call call = {.wait.call = {.work = put_in_force, .abandon = api_abandon_wait}};
    if (!api_configure(&store->options, store->folder, &config, error))
        return false;
    if (!check_exposure(store, &config, error)) {
        config_fini(&config);
        return false;
    }
    call.reload = server_reload_new(&config, error);
    if (!call.reload)
        return false;
    bool done = api_wait(store, &call.wait, error);
    server_reload_free(call.reload);
    return done;
}

/* In log and metrics as well as to the caller, who may be a signal. On the loop, where the server
 * is; when that has ended, there is nobody to be told. */
struct refusal {
    struct api_wait wait;
    const struct error *error;
};

static void tell(struct api_call *call)
{
    struct refusal *mine = (struct refusal *)call;
    server_reload_refused(call->store->server, mine->error);
    api_done(&mine->wait, NULL);
}

static void tell_refusal(struct stele *store, const struct error *error)
{
    struct refusal call = {.wait.call = {.work = tell, .abandon = api_abandon_wait},
                           .error = error};
    struct error ended;
    api_wait(store, &call.wait, &ended);
}

bool stele_reload(stele *store, stele_error *error)
{
    struct error reason = {0};
    if (!api_enter(store, "stele_reload", &reason))
        return api_error(error, &reason);
    pthread_mutex_lock(&store->reloading);
    bool done = reload(store, &reason);
    if (!done && reason.code != ERROR_SHUTTING_DOWN)
        tell_refusal(store, &reason);
    pthread_mutex_unlock(&store->reloading);
    api_leave(store);
    return done || api_error(error, &reason);
}
