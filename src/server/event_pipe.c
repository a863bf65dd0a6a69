#include "server/event_pipe.h"

#include <libwebsockets.h>
#include <stdbool.h>
#include <string.h>

enum {
    FARTHEST = 1024, /* bytes into the object; it is at 776 in 4.1.6 on amd64 */
    NO_DESCRIPTOR = -1
};

struct watched {
    int count, descriptor;
};

static void note_watched(uv_handle_t *handle, void *argument)
{
    struct watched *watched = argument;
    uv_os_fd_t descriptor;
    if (handle->type != UV_POLL || uv_fileno(handle, &descriptor) != 0)
        return;
    watched->count++;
    watched->descriptor = descriptor;
}

/* Whether the integer there is what the library takes for the connection's descriptor: changed, it
 * must be told changed. */
static bool is_record(struct lws *pipe, int *place, int descriptor)
{
    *place = NO_DESCRIPTOR;
    bool told = lws_get_socket_fd(pipe) == NO_DESCRIPTOR;
    *place = descriptor;
    return told;
}

int *event_pipe_record(struct lws_context *context, uv_loop_t *loop)
{
    struct watched watched = {0};
    uv_walk(loop, note_watched, &watched);
    struct lws *pipe = watched.count == 1 ? wsi_from_fd(context, watched.descriptor) : NULL;
    if (!pipe || lws_get_socket_fd(pipe) != watched.descriptor)
        return NULL;
    for (size_t at = 0; at < FARTHEST; at += sizeof(int)) {
        char *place = (char *)pipe + at;
        if (memcmp(place, &watched.descriptor, sizeof(int)) == 0 &&
            is_record(pipe, (int *)(void *)place, watched.descriptor))
            return (int *)(void *)place;
    }
    return NULL;
}

void event_pipe_forget(int *record)
{
    if (record)
        *record = NO_DESCRIPTOR;
}
