/*
 * What the files of the public API share.
 *
 * Invariants:
 *  1. The hub, subscribers and the source are touched on the loop thread only. Other threads hand
 *     it a call.
 *  2. Every call that was posted is answered once: by its work, or by `abandon` when the loop ended
 *     before. So nobody waits for ever.
 *  3. `subscriptions` is the loop thread's until the state is API_ENDED, then whoever holds the
 *     lock may change it.
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
    API_RUNNING,  /* calls are taken */
    API_STOPPED,  /* no more calls; those on their way are being answered */
    API_ENDED     /* all are answered, the server is closed, the loop thread is about to end */
};

struct stele {
    pid_t owner;                           /* the process that opened it */
    size_t queue_bytes, max_request_bytes; /* as they were when it was opened */
    stele_options options;                 /* for reading them again; a copy: api_options.c */
    struct config config;       /* in force; once it runs, changed on the loop thread only */
    pthread_mutex_t reloading;  /* one at a time */
    const atomic_bool *give_up; /* while it opens; or NULL */
    struct server *server;
    char *address, *health_address;
    int folder;               /* where relative paths begin, as in struct config */
    char *file;               /* the database, found again from any working directory */
    _Atomic bool stop_closed; /* the server is being freed: stele_stop must leave it alone */
    _Atomic int stoppers;     /* threads inside stele_stop */
    pthread_t thread;         /* the loop thread, for joining */
    pthread_mutex_t lock;     /* guards what follows, up to `subscriptions` */
    pthread_cond_t changed;
    enum api_state state;
    pthread_t loop;     /* the loop thread, as it says itself; set while starting */
    struct error error; /* why it could not open, or stopped on its own */
    bool failed;        /* it stopped on its own */
    struct api_call *calls;
    size_t waiting_bytes; /* of requests handed over by stele_apply_async */
    size_t waiters;       /* threads between api_enter and api_leave */
    struct stele_subscription *subscriptions;
};

/* Something to do on the loop thread. Embed it first. */
struct api_call {
    struct server_work work_item;
    struct stele *store;
    struct api_call *next, **link; /* in store->calls */
    void (*work)(struct api_call *call);
    void (*abandon)(struct api_call *call, const struct error *error);
};

/* Hand a call over; false with ERROR_SHUTTING_DOWN, and it stays the caller's. Any thread. */
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

/* Whether there is a store, and it is this process's. `function` names who asked. */
bool api_check_store(const struct stele *store, const char *function, struct error *error);
/* An argument is NULL and must not be; always false. */
bool api_refuse_null(struct error *error, const char *name);
/* Whether a text is there where it must be, and UTF-8. */
bool api_check_text(struct error *error, const char *name, const char *text, bool needed);
/* Parts of a query as JSON texts; NULL: not given. */
struct api_query_parts {
    const char *filters, *where, *sort;
};
/* As one text, for view_query_new; *text is the caller's, NULL where no part is given. */
bool api_print_query(const struct api_query_parts *parts, char **text, struct error *error);
/*
 * Take options over from a host program that was built with an older or a newer header. `known`
 * holds the defaults, and `size` bytes; `first` is the size of the oldest version. What an older
 * program does not know stays as it is; what a newer one asks for and this library does not know is
 * refused. `initializer` is named in the error.
 */
bool api_take_options(void *known, size_t size, const void *options, size_t first,
                      const char *initializer, struct error *error);

/* Around a function that waits: the store outlives it. ERROR_INVALID_PARAMETER on the loop thread,
 * which would wait for itself (`function` names who asked). */
bool api_enter(struct stele *store, const char *function, struct error *error);
void api_leave(struct stele *store);

/* Post and wait for api_done; false with the error. Between api_enter and api_leave. */
bool api_wait(struct stele *store, struct api_wait *wait, struct error *error);
/* The answer, `error` NULL for success; the waiting thread goes on and the call is gone. */
void api_done(struct api_wait *wait, const struct error *error);
/* The `abandon` of waiting calls. */
void api_abandon_wait(struct api_call *call, const struct error *error);

/* A copy of the options with all their texts; what is half copied is freed by api_free_options. */
bool api_copy_options(stele_options *copy, const stele_options *options, struct error *error);
void api_free_options(stele_options *copy);

bool api_on_loop(struct stele *store);
/* Whether the server still takes work. On the loop thread. */
bool api_has_server(const struct stele *store);
/* Copy an error out to the public form; always false. `to` may be NULL. */
bool api_error(stele_error *to, const struct error *from);

/* Between server_run and server_close: no subscription may touch the hub any more. */
void api_detach_subscriptions(struct stele *store);
void api_free_subscriptions(struct stele *store);

#endif
