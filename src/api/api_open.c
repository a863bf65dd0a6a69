/*
 * The life of a store: the loop thread opens the server, serves, and answers everybody who still
 * waits before it ends.
 */
#include "api/api_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static bool copy_text(const char **copy, const char *text)
{
    *copy = text ? memory_copy_string(text, strlen(text)) : NULL;
    return *copy || !text;
}

static bool copy_settings(stele_options *copy, const stele_options *options)
{
    const char **settings = memory_new((options->setting_count + 1) * sizeof *settings);
    copy->settings = settings;
    for (size_t i = 0; settings && i < options->setting_count; i++) {
        if (!copy_text(&settings[i], options->settings[i]))
            return false;
        copy->setting_count++;
    }
    return settings != NULL;
}

/* A copy of the options with all their texts; what is half copied is freed by free_options. */
static bool copy_options(stele_options *copy, const stele_options *options, struct error *error)
{
    *copy = *options;
    copy->database = copy->config_file = copy->listen = copy->health = NULL;
    copy->settings = NULL;
    copy->setting_count = 0;
    return (copy_text(&copy->database, options->database) &&
            copy_text(&copy->config_file, options->config_file) &&
            copy_text(&copy->listen, options->listen) &&
            copy_text(&copy->health, options->health) && copy_settings(copy, options)) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static void free_options(stele_options *copy)
{
    const char **settings = (const char **)(uintptr_t)copy->settings;
    for (size_t i = 0; i < copy->setting_count; i++)
        memory_free((void *)(uintptr_t)settings[i]);
    memory_free(settings);
    memory_free((void *)(uintptr_t)copy->database);
    memory_free((void *)(uintptr_t)copy->config_file);
    memory_free((void *)(uintptr_t)copy->listen);
    memory_free((void *)(uintptr_t)copy->health);
    *copy = (stele_options){.struct_size = 0};
}

static void set_state(struct stele *store, enum api_state state)
{
    pthread_mutex_lock(&store->lock);
    store->state = state;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

static bool start(struct stele *store)
{
    pthread_mutex_lock(&store->lock);
    store->loop = pthread_self();
    pthread_mutex_unlock(&store->lock);
    store->server = server_open(&store->config, store->give_up, &store->error);
    if (!store->server)
        return false;
    const char *address = server_parts(store->server).address;
    const char *health = server_parts(store->server).health_address;
    store->address = memory_copy_string(address, strlen(address));
    store->health_address = memory_copy_string(health, strlen(health));
    store->is_secure = store->config.tls_certificate != NULL;
    store->health_is_secure = store->config.health_tls;
    char file[PATH_MAX];
    const char *path = realpath(store->config.database, file);
    path = path ? path : store->config.database;
    store->file = memory_copy_string(path, strlen(path));
    if (store->address && store->health_address && store->file)
        return true;
    server_close(store->server);
    return error_set(&store->error, ERROR_MEMORY, "out of memory");
}

/* Calls without an answer get one here. The server is closed by then, so nothing else can reach
 * these calls. */
static void abandon_calls(struct stele *store)
{
    struct error error;
    error_set(&error, ERROR_SHUTTING_DOWN, "the store has stopped");
    while (store->calls)
        store->calls->abandon(store->calls, &error);
}

/*
 * stele_stop takes no lock, because a signal handler may call it, so the server is freed only when
 * nobody is inside it. A later caller sees `stop_closed`: the counter goes up before it looks, and
 * is looked at after `stop_closed` was set.
 */
static void close_stop(struct stele *store)
{
    atomic_store(&store->stop_closed, true);
    while (atomic_load(&store->stoppers) > 0)
        sched_yield();
}

void stele_stop(stele *store)
{
    if (!store || store->owner != getpid())
        return;
    atomic_fetch_add(&store->stoppers, 1);
    if (!atomic_load(&store->stop_closed))
        server_stop(store->server);
    atomic_fetch_sub(&store->stoppers, 1);
}

static void *loop_thread(void *argument)
{
    struct stele *store = argument;
    if (start(store)) {
        set_state(store, API_RUNNING);
        store->failed = !server_run(store->server, &store->error);
        set_state(store, API_STOPPED);
        api_detach_subscriptions(store);
        close_stop(store);
        server_close(store->server);
        abandon_calls(store);
    }
    set_state(store, API_ENDED);
    return NULL;
}

/* The host's signals are the host's: none is delivered to a thread of ours. */
static bool start_thread(struct stele *store, struct error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int result = pthread_create(&store->thread, NULL, loop_thread, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0 ||
           error_set(error, ERROR_INTERNAL, "no thread could be started: %s", error_reason(result));
}

static void leave_folder(struct stele *store)
{
    if (store->folder >= 0)
        close(store->folder);
}

static void free_store(struct stele *store)
{
    leave_folder(store);
    free_options(&store->options);
    config_fini(&store->config);
    memory_free(store->address);
    memory_free(store->health_address);
    memory_free(store->file);
    pthread_mutex_destroy(&store->lock);
    pthread_mutex_destroy(&store->reloading);
    pthread_cond_destroy(&store->changed);
    memory_free(store);
}

static enum api_state wait_until(struct stele *store, enum api_state state)
{
    pthread_mutex_lock(&store->lock);
    while (store->state < state)
        pthread_cond_wait(&store->changed, &store->lock);
    enum api_state reached = store->state;
    pthread_mutex_unlock(&store->lock);
    return reached;
}

static struct stele *open_store(const stele_options *options, const atomic_bool *give_up,
                                struct error *error)
{
    struct stele *store = memory_new(sizeof(*store));
    if (!store) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    /* The program may go elsewhere before files are read again. */
    store->folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (store->folder < 0)
        store->folder = AT_FDCWD;
    if (!api_configure(options, store->folder, &store->config, error)) {
        leave_folder(store);
        memory_free(store);
        return NULL;
    }
    store->give_up = give_up;
    store->owner = getpid();
    store->queue_bytes = (size_t)store->config.queue_bytes;
    store->max_request_bytes = (size_t)store->config.max_request_bytes;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->reloading, NULL);
    pthread_cond_init(&store->changed, NULL);
    log_configure(store->config.log_level, store->config.log_format,
                  store->config.log_levels); /* which was checked */
    if (!copy_options(&store->options, options, error) || !start_thread(store, error)) {
        free_store(store);
        return NULL;
    }
    wait_until(store, API_RUNNING);
    if (store->address && store->health_address && store->file)
        return store;
    pthread_join(store->thread, NULL);
    *error = store->error;
    free_store(store);
    return NULL;
}

stele *api_open_unless(const stele_options *options, const atomic_bool *give_up, bool *given_up,
                       stele_error *error)
{
    struct error reason = {0};
    stele_options known = STELE_OPTIONS_INIT;
    struct stele *store = NULL;
    if (api_take_options(&known, sizeof known, options, sizeof known, "STELE_OPTIONS_INIT",
                         &reason))
        store = open_store(&known, give_up, &reason);
    if (!store)
        api_error(error, &reason);
    *given_up = reason.code == ERROR_SHUTTING_DOWN;
    return store;
}

stele *stele_open(const stele_options *options, stele_error *error)
{
    bool given_up;
    return api_open_unless(options, NULL, &given_up, error);
}

const char *stele_address(const stele *store)
{
    return store ? store->address : "";
}

const char *stele_health_address(const stele *store)
{
    return store ? store->health_address : "";
}

const char *stele_database(const stele *store)
{
    return store ? store->config.database : "";
}

bool api_is_secure(const stele *store, bool health)
{
    return health ? store->health_is_secure : store->is_secure;
}

bool stele_run(stele *store, stele_error *error)
{
    struct error reason = {0};
    if (!api_check_store(store, "stele_run", &reason))
        return api_error(error, &reason);
    if (api_on_loop(store)) {
        error_set(&reason, ERROR_INVALID_PARAMETER, "stele_run cannot be called in a callback");
        return api_error(error, &reason);
    }
    wait_until(store, API_ENDED);
    return store->failed ? api_error(error, &store->error) : true;
}

void stele_close(stele *store)
{
    if (!store || store->owner != getpid())
        return; /* a child of fork() has a copy of the memory, and nothing to end */
    stele_stop(store);
    pthread_join(store->thread, NULL);
    pthread_mutex_lock(&store->lock);
    while (store->waiters > 0)
        pthread_cond_wait(&store->changed, &store->lock);
    pthread_mutex_unlock(&store->lock);
    api_free_subscriptions(store);
    free_store(store);
}
