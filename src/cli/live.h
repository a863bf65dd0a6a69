/* `stele subscribe --table`: the rows on a terminal, with keys, marks and the connection's state.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli/key_watch.h"
#include "cli/screen.h"

enum live_state { LIVE_CONNECTING, LIVE_CONNECTED, LIVE_RECONNECTING };

struct live {
    struct screen screen;
    struct keys keys;
    struct key_watch watch;
    enum live_state state;
    uint64_t since_us; /* it is in this state */
    char words[256];   /* why, or what the server said; "" for none */
    char title[600];
};

enum live_end { LIVE_GOES_ON, LIVE_LEAVES, LIVE_FAILED /* errno: it cannot be written */ };

/* The texts are borrowed. `wake`: to be called, on another thread, when it is time for live_tick;
 * not after live_close, which is due. */
void live_open(struct live *live, const char *view, const char *columns,
               const struct option_texts *times, void (*wake)(void *argument), void *argument);
void live_close(struct live *live);
/* The connection is in this state now, as it may have been before; words NULL: there are none. */
void live_set_state(struct live *live, enum live_state state, const char *words);
/* Show words beside the state. */
void live_say(struct live *live, const char *words);
/* As table_apply. */
bool live_apply(struct live *live, struct span frame, struct error *error);
/* Take what was typed, and draw what is new. Often. */
enum live_end live_tick(struct live *live);

#endif
