/* The rows of one subscription on a terminal, as they change: with keys, marks and the connection's
 * state. */
#ifndef TERMINAL_LIVE_H
#define TERMINAL_LIVE_H

#include "terminal/columns.h"

struct live;

/* What it is given is borrowed. `wake`: to be called, on another thread, when it is time for
 * live_tick; not after live_close. NULL when out of memory. */
struct live *live_open(const char *view, const struct column_choice *columns,
                       void (*wake)(void *argument), void *argument);
/* The last picture stays, and the terminal is as it was. NULL is allowed. */
void live_close(struct live *live);
void live_free(struct live *live);
/* The connection stands; or it was lost or could not be made, with the reason. */
void live_set_connection(struct live *live, bool stands, const char *words);
/* Show words beside the state. */
void live_say(struct live *live, const char *words);
/* What was said last, or the reason; "" for none. */
const char *live_words(const struct live *live);
/* Apply a frame, as table_apply does. */
bool live_apply(struct live *live, struct span frame, struct error *error);

enum live_end { LIVE_GOES_ON, LIVE_LEAVES, LIVE_FAILED /* errno: it cannot be written */ };
/* Take what was typed, and draw what is new. Often. */
enum live_end live_tick(struct live *live);

#endif
