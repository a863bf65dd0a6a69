/* `stele serve`: its options, for the tests too. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/command.h"
#include "stele/stele.h"

struct serve_options {
    const char *database, *listen, *health, *config_file, *synchronous;
    struct option_texts settings, stacks;
    bool check_config, print_schema, insecure;
};

/* The options of the library for these options. `settings` has room for options->settings,
 * options->stacks and one more; the result points to it. `made` has room for options->stacks and
 * one more: new strings, for the caller to free. False when out of memory. */
bool serve_to_library(const struct serve_options *options, const char **settings, char **made,
                      stele_options *library);

#endif
