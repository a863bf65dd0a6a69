#include "cli/service.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- the manager's socket ---- */

/*
 * Reporting the server's state to a service manager, by sd_notify(3): lines of NAME=VALUE in a
 * datagram to the socket in NOTIFY_SOCKET. The protocol is so small that it needs no library.
 */
struct notify {
    int socket; /* -1: there is no service manager */
    socklen_t length;
    struct sockaddr_un address;
};

/* `path` is the value of NOTIFY_SOCKET: a path, or a name with '@' in front in the abstract space;
 * NULL or "" for nobody. ERROR_CONFIGURATION for anything else. */
static bool notify_open(struct notify *notify, const char *path, struct error *error)
{
    *notify = (struct notify){.socket = -1, .address.sun_family = AF_UNIX};
    if (!path || !*path)
        return true;
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof notify->address.sun_path)
        return error_set(
            error, ERROR_CONFIGURATION,
            "NOTIFY_SOCKET is \"%.200s\"; it must be a path, or a name with @ in front", path);
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@')
        notify->address.sun_path[0] = '\0';
    /* Without the NUL at the end, which would be part of an abstract name. */
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return notify->socket >= 0 ||
           error_set(error, ERROR_NETWORK, "no socket for NOTIFY_SOCKET: %s", error_reason(errno));
}

static void notify_close(struct notify *notify)
{
    if (notify->socket >= 0)
        close(notify->socket);
    notify->socket = -1;
}

/* Send one datagram; it is dropped if the socket does not accept it at once, because the server
 * may not wait for the manager. Any thread. Returns whether it was sent; true without a manager. */
static bool notify_send(const struct notify *notify, const char *lines)
{
    if (notify->socket < 0)
        return true;
    size_t length = strlen(lines);
    ssize_t sent;
    do
        sent = sendto(notify->socket, lines, length, MSG_NOSIGNAL,
                      (const struct sockaddr *)&notify->address, notify->length);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)length;
}

enum {
    PACE_US = 10 * 1000 * 1000,
    EXTENSION_US = 60 * 1000 * 1000, /* more than a pace, so that one may come late */
    WORK_SHARE = 200 /* of a pace, one in so many on a processor, or it does not count as work */
};

enum service_state { SERVICE_OPENING, SERVICE_SERVING, SERVICE_STOPPING };

struct service {
    struct notify notify;
    uint64_t watchdog_us; /* 0: none is wanted */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum service_state state;
    stele *store; /* NULL: it must not be asked */
    bool asking;  /* it is just being asked */
    bool ended;
    struct rusage before; /* the thread's own */
};

/* ---- work done ---- */

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static uint64_t pace_us(const struct service *service)
{
    uint64_t half = service->watchdog_us / 2;
    return half && half < PACE_US ? half : PACE_US;
}

/* A start may take as long as a large database needs, but not for ever because something hangs. */
static bool has_worked(struct service *service)
{
    struct rusage now, before = service->before;
    if (getrusage(RUSAGE_SELF, &now) != 0)
        return false;
    service->before = now;
    uint64_t used = microseconds(now.ru_utime) + microseconds(now.ru_stime) -
                    microseconds(before.ru_utime) - microseconds(before.ru_stime);
    return used >= pace_us(service) / WORK_SHARE || now.ru_inblock != before.ru_inblock ||
           now.ru_oublock != before.ru_oublock;
}

static void extend(struct service *service)
{
    char lines[64];
    if (!has_worked(service))
        return;
    snprintf(lines, sizeof lines, "EXTEND_TIMEOUT_USEC=%d", EXTENSION_US);
    notify_send(&service->notify, lines);
    if (service->watchdog_us && service->state == SERVICE_STOPPING)
        notify_send(&service->notify, "WATCHDOG=1");
}

/* ---- the thread ---- */

/* Without the lock, as the answer is waited for: when the loop hangs, for ever, and the manager
 * hears nothing any more. That is what it is for. */
static void ask(struct service *service, stele *store)
{
    struct error error = {0};
    if (api_is_well(store, service->watchdog_us, &error))
        notify_send(&service->notify, "WATCHDOG=1");
    else if (error.code != ERROR_SHUTTING_DOWN)
        log_error("service", "not-well", log_text("error", error.message));
}

static void wait_pace(struct service *service)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t us = pace_us(service) + (uint64_t)until.tv_nsec / 1000;
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec = (long)(us % 1000000) * 1000;
    enum service_state before = service->state;
    int result = 0;
    while (!service->ended && service->state == before && result == 0)
        result = pthread_cond_timedwait(&service->changed, &service->lock, &until);
}

static void *keep_telling(void *argument)
{
    struct service *service = argument;
    pthread_mutex_lock(&service->lock);
    for (;;) {
        wait_pace(service);
        if (service->ended)
            break;
        stele *store = service->state == SERVICE_SERVING ? service->store : NULL;
        if (store && service->watchdog_us) {
            service->asking = true;
            pthread_mutex_unlock(&service->lock);
            ask(service, store);
            pthread_mutex_lock(&service->lock);
            service->asking = false;
            pthread_cond_broadcast(&service->changed);
        } else if (service->state != SERVICE_SERVING) {
            extend(service);
        }
    }
    pthread_mutex_unlock(&service->lock);
    return NULL;
}

/* ---- life ---- */

static bool read_watchdog(struct service *service, struct error *error)
{
    const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t number, whose = getpid();
    if (!interval)
        return true;
    if (!typed_number(span_of(interval), &number) || number <= 0)
        return error_set(error, ERROR_CONFIGURATION,
                         "WATCHDOG_USEC is \"%.40s\"; it must be a number of microseconds",
                         interval);
    if (pid && !typed_number(span_of(pid), &whose))
        return error_set(error, ERROR_CONFIGURATION, "WATCHDOG_PID is \"%.40s\", no number", pid);
    service->watchdog_us = whose == getpid() ? (uint64_t)number : 0;
    return true;
}

static bool start(struct service *service, struct error *error)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&service->lock, NULL);
    pthread_cond_init(&service->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!notify_open(&service->notify, getenv("NOTIFY_SOCKET"), error) ||
        !read_watchdog(service, error))
        return false;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    getrusage(RUSAGE_SELF, &service->before);
    if (service->notify.socket < 0)
        return true;
    notify_send(&service->notify, "STATUS=opening the database");
    int result = pthread_create(&service->thread, NULL, keep_telling, service);
    service->has_thread = result == 0;
    return service->has_thread ||
           error_set(error, ERROR_INTERNAL, "no thread could be started: %s", error_reason(result));
}

struct service *service_start(struct error *error)
{
    struct service *service = memory_new(sizeof *service);
    if (!service) {
        error_set(error, ERROR_MEMORY, "out of memory");
        return NULL;
    }
    service->notify.socket = -1;
    if (start(service, error))
        return service;
    service_end(service);
    return NULL;
}

void service_end(struct service *service)
{
    if (!service)
        return;
    pthread_mutex_lock(&service->lock);
    service->ended = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    if (service->has_thread)
        pthread_join(service->thread, NULL);
    notify_close(&service->notify);
    pthread_mutex_destroy(&service->lock);
    pthread_cond_destroy(&service->changed);
    memory_free(service);
}

/* ---- what is told ---- */

void service_ready(struct service *service, stele *store)
{
    char lines[200];
    const char *address = stele_address(store);
    pthread_mutex_lock(&service->lock);
    bool stopping = service->state == SERVICE_STOPPING; /* a signal came while it opened */
    if (!stopping) {
        service->state = SERVICE_SERVING;
        service->store = store;
    }
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    if (stopping)
        return;
    snprintf(lines, sizeof lines, "READY=1\nSTATUS=serving on %s",
             *address ? address : "no address");
    notify_send(&service->notify, lines);
}

static void reloads(struct service *service)
{
    char lines[80];
    snprintf(lines, sizeof lines, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_us());
    notify_send(&service->notify, lines);
}

static void reloaded(struct service *service, const char *problem)
{
    char lines[ERROR_MESSAGE_SIZE + 80];
    snprintf(lines, sizeof lines, "READY=1\nSTATUS=serving%s%s",
             problem ? "; the new configuration was refused: " : "", problem ? problem : "");
    for (char *c = strchr(lines, '\n') + 1; *c; c++)
        if (*c == '\n')
            *c = ' ';
    notify_send(&service->notify, lines);
}

static void stops(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    bool first = service->state != SERVICE_STOPPING;
    service->state = SERVICE_STOPPING;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    if (first)
        notify_send(&service->notify, "STOPPING=1\nSTATUS=stopping");
}

static void stopped(struct service *service)
{
    stops(service);
    pthread_mutex_lock(&service->lock);
    service->store = NULL;
    while (service->asking)
        pthread_cond_wait(&service->changed, &service->lock);
    pthread_mutex_unlock(&service->lock);
}

void service_note(struct service *service, enum service_event event, const char *problem)
{
    switch (event) {
    case SERVICE_RELOADS:
        reloads(service);
        return;
    case SERVICE_RELOADED:
        reloaded(service, problem);
        return;
    case SERVICE_STOPS:
        stops(service);
        return;
    case SERVICE_STOPPED:
        stopped(service);
        return;
    }
}
