/* Who may come in. Authentication joins the limits here. */
#include "server/server_internal.h"

enum {
    MOST_VIEW_READS = 256, /* that wait for a reader */
    MOST_LARGE_BYTES =
        64 << 20 /* of answers that clients have not taken yet; and one answer more */
};

static bool may_answer(const struct server *server, struct error *error)
{
    return server->large_bytes < MOST_LARGE_BYTES ||
           error_set(error, ERROR_QUEUE_FULL,
                     "%zu bytes of answers wait for who asked for them; try again later",
                     server->large_bytes);
}

static bool may_read(const struct server *server, struct error *error)
{
    if (server->view_reads >= MOST_VIEW_READS)
        return error_set(error, ERROR_QUEUE_FULL,
                         "%zu requests for views wait already; try again later",
                         server->view_reads);
    return may_answer(server, error);
}

bool server_admit(struct server *server, enum server_purpose purpose, struct error *error)
{
    if (purpose == SERVER_ANSWER)
        return may_answer(server, error);
    if (server->state != SERVER_RUNNING)
        return error_set(error, ERROR_SHUTTING_DOWN, "the server is stopping");
    return purpose != SERVER_READ || may_read(server, error);
}
