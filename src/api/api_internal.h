/*
 * Shared by the files of the public API.
 *
 * Invariants:
 *  1. The hub, subscribers and the ingest are used on the loop thread only. Other threads post a
 *     call to it.
 *  2. Every posted call is answered once: by its work, or by `abandon` when the loop ended before.
 *     So no thread waits for ever.
 *  3. `subscriptions` is the loop thread's until the state is API_ENDED; then the holder of the
 * lock may change it.
 */
#ifndef API_API_INTERNAL_H
#define API_API_INTERNAL_H

#include "api/api.h"
#include "server/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum api_state {
    API_STARTING, /* the loop thread opens the server */
    API_RUNNING,  /* calls are accepted */
    API_STOPPED,  /* no more calls; those under way are being answered */
    API_ENDED     /* all are answered, the server is closed, the loop thread is about to end */
};

struct stele {
    pid_t owner;                           /* the process that opened it */
    size_t queue_bytes, max_request_bytes; /* as they were when it was opened */
    stele_options options;                 /* to read them again; a copy */
    struct config config;       /* in force; once it runs, changed on the loop thread only */
    pthread_mutex_t reloading;  /* one at a time */
    const atomic_bool *give_up; /* while it opens; or NULL */
    struct server *server;
    char *address, *health_address;
    bool is_secure;           /* they speak TLS. Noted, because the loop thread may change */
    bool health_is_secure;    /* ... the settings while another thread asks */
    int folder;               /* the start of relative paths, as in struct config */
    char *file;               /* the database, with a path that holds in any working directory */
    _Atomic bool stop_closed; /* the server is being freed: stele_stop must leave it alone */
    _Atomic int stoppers;     /* threads inside stele_stop */
    pthread_t thread;         /* the loop thread, for joining */
    pthread_mutex_t lock;     /* guards the members below, up to `subscriptions` */
    pthread_cond_t changed;
    enum api_state state;
    pthread_t loop;     /* the loop thread, as it reports itself; set while starting */
    struct error error; /* why it did not open, or stopped by itself */
    bool failed;        /* it stopped by itself */
    struct api_call *calls;
    size_t waiting_bytes; /* of requests handed over by stele_apply_async */
    size_t waiters;       /* threads between api_enter and api_leave */
    struct stele_subscription *subscriptions;
};

/* Work for the loop thread. Embed it first. */
struct api_call {
    struct server_work work_item;
    struct stele *store;
    struct api_call *next, **link; /* in store->calls */
    void (*work)(struct api_call *call);
    void (*abandon)(struct api_call *call, const struct error *error);
};

/* Post a call; false with ERROR_SHUTTING_DOWN, and it stays the caller's. Any thread. */
bool api_post(struct stele *store, struct api_call *call, struct error *error);
/* The call is answered: it is the caller's again. On the loop thread. */
void api_finish(struct api_call *call);

/* A call whose poster waits for it. Embed it first. */
struct api_wait {
    struct api_call call;
    bool done;
    struct error error;
};

/* ---- arguments: api_arguments.c. All false, with ERROR_INVALID_PARAMETER. ---- */

/* Whether there is a store, and it is this process's. `function` is the name of the caller. */
bool api_check_store(const struct stele *store, const char *function, struct error *error);
/* Refuse an argument that must not be NULL; always false. */
bool api_refuse_null(struct error *error, const char *name);
/* Whether a required text is there, and UTF-8. */
bool api_check_text(struct error *error, const char *name, const char *text, bool needed);
/* Parts of a query as JSON texts; NULL: not given. */
struct api_query_parts {
    const char *filters, *where, *sort;
};
/* The parts as one text, for view_query_new; *text is the caller's, NULL if no part is given. */
bool api_print_query(const struct api_query_parts *parts, char **text, struct error *error);
/*
 * Copy options from a host program that was built with an older or a newer header. `known` has the
 * defaults, and `size` bytes; `first` is the size of the oldest version. Fields that an older
 * program lacks keep their defaults. Fields of a newer program that this library does not know are
 * refused. The error names `initializer`.
 */
bool api_take_options(void *known, size_t size, const void *options, size_t first,
                      const char *initializer, struct error *error);

/* Around a function that waits: the store outlives it. ERROR_INVALID_PARAMETER on the loop
 * thread, which would wait for itself (`function` is the name of the caller). */
bool api_enter(struct stele *store, const char *function, struct error *error);
void api_leave(struct stele *store);

/* Post and wait for api_done; false with the error. Between api_enter and api_leave. */
bool api_wait(struct stele *store, struct api_wait *wait, struct error *error);
/* The answer, `error` NULL for success; the waiting thread goes on and the call is gone. */
void api_done(struct api_wait *wait, const struct error *error);
/* The `abandon` of waiting calls. */
void api_abandon_wait(struct api_call *call, const struct error *error);

bool api_on_loop(struct stele *store);
/* Copy an error out to the public form; always false. `to` may be NULL. */
bool api_error(stele_error *to, const struct error *from);

/* Between server_run and server_close: from now on no subscription may use the hub. */
void api_detach_subscriptions(struct stele *store);
void api_free_subscriptions(struct stele *store);

#endif
