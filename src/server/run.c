/*
 * The loop at work, and its orderly end. The stop goes through the states of enum server_state:
 *
 *   RUNNING  --stop-->  DRAINING  nobody is let in, feeders are not read from any more
 *            --drained->  PARTING   all is on disk and answered; clients are told 1001
 *            --all gone, or PARTING_MS->  LEAVING  the sockets are closed
 *            --they are->  ENDED
 *
 * Steps are taken in server_on_async and server_on_tick only, never from within a callback of
 * a connection: a step may free what that callback is about.
 */
#include "access/revocations.h"
#include "database/database.h"
#include "delivery/hub.h"
#include "follow/follow.h"
#include "ingest/ingest.h"
#include "outbound/outbound.h"
#include "replica/replica.h"
#include "server/tls.h"
#include "server/transport.h"
#include "telemetry/telemetry.h"
#include "usage/usage.h"
#include "window/window.h"

#include <assert.h>

enum {
    PARTING_MS = 2 * 1000, /* who has not read what is left by then comes back by cursor anyway */
    TICKS_PER_TIMEOUT = 12,
    TICK_MS = 1000,
    SHORTEST_TICK_MS = 20
};

static void server_on_tick(uv_timer_t *tick);

static const char stop_reason[] = "shutting-down: the server is stopping";
enum { STOP_STATUS = 1001 };

/* ---- posts ---- */

bool server_post(struct server *server, struct server_work *work)
{
    work->item.bytes = 0;
    return queue_put(&server->posts, &work->item, QUEUE_REFUSES);
}

static void run_posts(struct server *server)
{
    struct queue_item *item = queue_take_all(&server->posts, 0);
    while (item) {
        struct server_work *work = (struct server_work *)item;
        item = item->next;
        work->run(server, work);
    }
}

/* ---- states ---- */

/* The one place where the state changes. */
static void server_set_state(struct server *server, enum server_state state)
{
    static const char *const names[] = {"ready",   "running", "draining",
                                        "parting", "leaving", "ended"};
    assert(state == server->state + 1);
    server->state = state;
    server->frontend.running = state == SERVER_RUNNING;
    log_debug("server", "state", log_word("state", names[state]));
}

static void begin_drain(struct server *server)
{
    server_set_state(server, SERVER_DRAINING);
    log_info("server", "stopping", log_number("clients", server->frontend.sessions.count));
    listener_close(&server->main);
    listener_close(&server->health);
    sessions_pause_all(&server->frontend.sessions, &session_ingest);
    http_stop(&server->http);
    replica_halt(server->replica.replica);
    ingest_drain(server->frontend.ingest);
}

void server_on_drained(void *argument)
{
    struct server *server = argument;
    if (server->state != SERVER_DRAINING)
        return;
    server_set_state(server, SERVER_PARTING);
    follow_halt(server->log.follow); /* not before what was published is answered */
    uv_update_time(&server->loop);
    server->deadline_ms = uv_now(&server->loop) + PARTING_MS;
    uv_timer_start(&server->tick, server_on_tick, PARTING_MS, 0); /* on the dot */
    sessions_close_all(&server->frontend.sessions, STOP_STATUS, stop_reason);
}

static void on_left(struct server *server)
{
    server->transport = NULL;
    server_set_state(server, SERVER_ENDED);
    uv_stop(&server->loop);
}

static void leave(struct server *server)
{
    if (server->frontend.sessions.count || server->http.requests)
        log_info("server", "left-behind", log_number("clients", server->frontend.sessions.count),
                 log_number("requests", server->http.requests));
    server_set_state(server, SERVER_LEAVING);
    if (server->transport)
        transport_leave(server->transport, on_left);
    else
        on_left(server);
}

/*
 * The last of what goes to other servers is sent, as far as they take it. What clients used is
 * known when they have left; traces and metrics go at once, as a client may never answer.
 */
static bool has_sent(struct server *server)
{
    bool left = !server->frontend.sessions.count && !server->http.requests;
    bool telemetry = !server->frontend.telemetry || telemetry_finish(server->frontend.telemetry);
    bool usage = left && (!server->frontend.usage || usage_finish(server->frontend.usage));
    return telemetry && usage;
}

/* The next step of the stop, if it is time for it. */
static void step(struct server *server)
{
    if (server->state == SERVER_RUNNING && atomic_load(&server->stop_requested))
        begin_drain(server);
    if (server->state != SERVER_PARTING)
        return;
    if (has_sent(server) || uv_now(&server->loop) >= server->deadline_ms)
        leave(server);
}

/* ---- the loop ---- */

static void on_due(uv_timer_t *due)
{
    struct server *server = due->data;
    windows_refresh(server->frontend.hub);
    hub_take_due(server->frontend.hub);
    sessions_take_due(&server->frontend.sessions);
    server_arm(server);
}

static int64_t sooner(int64_t one, int64_t other)
{
    return one < 0 || (other >= 0 && other < one) ? other : one;
}

/* Windows that coalesce look again at their time, cursors have waited long enough, and tokens run
 * out. */
void server_arm(void *argument)
{
    struct server *server = argument;
    const struct hub *hub = server->frontend.hub;
    int64_t due = sessions_due(&server->frontend.sessions);
    if (hub)
        due = sooner(due, sooner(windows_due(hub), hub_due(hub)));
    if (due >= 0)
        uv_timer_start(&server->due, on_due, (uint64_t)due, 0);
}

void server_on_async(uv_async_t *async)
{
    struct server *server = async->data;
    if (server->frontend.engine) /* or it could not be opened, and this is the way out */
        engine_deliver(server->frontend.engine);
    if (server->outbound)
        outbound_deliver(server->outbound);
    if (server->frontend.usage)
        usage_turn(server->frontend.usage);
    if (server->frontend.telemetry)
        telemetry_turn(server->frontend.telemetry);
    run_posts(server);
    sessions_resume(&server->frontend.sessions);
    server_arm(server);
    step(server);
}

static void server_on_tick(uv_timer_t *tick)
{
    struct server *server = tick->data;
    listener_revive(&server->main);
    listener_revive(&server->health);
    sessions_sweep(&server->frontend.sessions, &server->frontend);
    newcomers_tick(&server->frontend.sessions.newcomers, frontend_now(&server->frontend));
    incoming_tick(&server->frontend.incoming, (int64_t)uv_now(&server->loop));
    access_tick(server->frontend.access);
    if (server->frontend.usage)
        usage_turn(server->frontend.usage);
    if (server->frontend.telemetry)
        telemetry_turn(server->frontend.telemetry);
    log_tick();
    if (server->certificate)
        tls_watch(server->certificate, &server->certificate_due_ms);
    sessions_resume(&server->frontend.sessions);
    server_arm(server);
    step(server);
}

static uint64_t tick_ms(const struct server *server)
{
    uint64_t wanted = server->frontend.client_timeout_ms / TICKS_PER_TIMEOUT;
    if (!server->frontend.client_timeout_ms || wanted > TICK_MS)
        return TICK_MS;
    return wanted > SHORTEST_TICK_MS ? wanted : SHORTEST_TICK_MS;
}

void server_start_tick(struct server *server)
{
    uv_timer_start(&server->tick, server_on_tick, tick_ms(server), tick_ms(server));
}

bool server_run(struct server *server, struct error *error)
{
    if (server->state != SERVER_READY)
        return error_set(error, ERROR_INTERNAL, "this server has run already");
    server_set_state(server, SERVER_RUNNING);
    log_info("server", "started", log_word("version", STELE_VERSION),
             log_text("file", database_state(engine_facts(server->frontend.engine)->database).path),
             log_text("listen", server->main.address), log_text("health", server->health.address),
             log_word("epoch", engine_facts(server->frontend.engine)->epoch));
    server_start_tick(server);
    access_tick(server->frontend.access);
    uv_async_send(&server->async); /* what came before the loop turned, a stop perhaps */
    while (server->state != SERVER_ENDED)
        uv_run(&server->loop, UV_RUN_DEFAULT);
    queue_close(&server->posts);
    run_posts(server);
    uv_timer_stop(&server->tick);
    uv_timer_stop(&server->due);
    log_info("server", "stopped");
    return true;
}

void server_stop(struct server *server)
{
    atomic_store(&server->stop_requested, true);
    uv_async_send(&server->async);
}

/* A server that never ran, or could not be opened wholly, leaves its sockets here. */
void server_leave(struct server *server)
{
    listener_close(&server->main);
    listener_close(&server->health);
    queue_close(&server->posts);
    run_posts(server);
    if (!server->transport)
        return;
    server->state = SERVER_LEAVING;
    transport_leave(server->transport, on_left);
    while (server->state != SERVER_ENDED)
        uv_run(&server->loop, UV_RUN_DEFAULT);
}
