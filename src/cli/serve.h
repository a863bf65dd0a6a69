/* `stele serve`: its options, for the tests too. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "cli/command.h"
#include "stele/stele.h"

struct serve_options {
    const char *database, *listen, *health, *config_file, *synchronous;
    struct option_texts settings;
    bool check_config, print_schema, insecure;
};

/* The options of the library that these stand for. `settings` has room for one more than
 * options->settings, and is what the result points to. */
void serve_to_library(const struct serve_options *options, const char **settings,
                      char synchronous[64], stele_options *library);

#endif
