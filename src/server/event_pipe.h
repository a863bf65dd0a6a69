/*
 * A fault of libwebsockets (seen in 4.1.6), kept from hurting the process.
 *
 * A context has an eventfd, its "event pipe", and keeps the number in two records: one of the
 * context, one of the connection object that it makes for the pipe. When it is destroyed on libuv's
 * loop, it closes the number by the first record at once (lws_destroy_event_pipe), and by the
 * second when libuv has let go of the handle, a turn of the loop later
 * (__lws_close_free_wsi_final). In between any thread of the process, the checkpointer, another
 * store, the host program, may open a file and be given that number; then its file is closed.
 *
 * Nothing that we do in between can help: the moment the first close returns, the number is
 * anybody's. So the second record is wiped before the loop turns again. It lies in an opaque
 * struct, but a public function tells it (lws_get_socket_fd), which is how we find it and are sure.
 */
#ifndef SERVER_EVENT_PIPE_H
#define SERVER_EVENT_PIPE_H

#include <uv.h>

struct lws_context;

/* Where the second record is. To be called when the context was just made on this loop: the pipe is
 * then the only descriptor that is watched. NULL: this libwebsockets keeps its books in another
 * way. Loop thread. */
int *event_pipe_record(struct lws_context *context, uv_loop_t *loop);
/* Wipe it: right after the context was destroyed for the first time, in the same turn of the loop.
 * (Its memory is freed in the next one.) NULL is allowed. */
void event_pipe_forget(int *record);

#endif
