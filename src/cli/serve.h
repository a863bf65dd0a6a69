/* `stele serve`: its options, for the tests too. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/command.h"
#include "stele/stele.h"

struct serve_options {
    const char *database, *listen, *health, *config_file, *synchronous, *memory;
    struct option_texts settings, stacks;
    bool check_config, print_schema, insecure;
};

/* Told on the main thread: the store is open and about to run; it has run, and is about to be
 * closed. */
struct serve_watch {
    void (*begins)(void *argument, stele *store);
    void (*ends)(void *argument);
    void *argument;
};

/* Be the server that these options describe; the exit code. `watch`: NULL, nobody is told. */
int serve_run(const struct serve_options *options, const struct serve_watch *watch);

enum { SERVE_OWN_SETTINGS = 2 }; /* that have an option each */

/* The options of the library for these options. `settings` has room for options->settings,
 * options->stacks and SERVE_OWN_SETTINGS; the result points to it. `made` has room for
 * options->stacks and SERVE_OWN_SETTINGS: new strings, for the caller to free. False when out of
 * memory. */
bool serve_to_library(const struct serve_options *options, const char **settings, char **made,
                      stele_options *library);

#endif
