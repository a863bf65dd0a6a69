/*
 * The options of the commands that make a server that follows: `stele follow`, a replica of another
 * server, and `stele bootstrap`, which makes its file first.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/access.h"
#include "cli/serve.h"

struct follow_options {
    const char *from;
    struct access_options access;
    struct serve_options serve;
    bool no_follow, no_check; /* of bootstrap */
};

/* The rows of these options in a list of options. */
#define FOLLOW_AT(field) .offset = offsetof(struct follow_options, field)
#define FOLLOW_OPTIONS                                                                             \
    {"db", OPTION_TEXT, FOLLOW_AT(serve.database), .value = "FILE", .help = "the database"},       \
        {"listen", OPTION_TEXT, FOLLOW_AT(serve.listen), .value = "HOST:PORT",                     \
         .help = "where subscribers connect (127.0.0.1:8877); port 0 picks a free one"},           \
        {"health", OPTION_TEXT, FOLLOW_AT(serve.health), .value = "HOST:PORT",                     \
         .help = "where health and metrics are served (127.0.0.1:8081)"},                          \
        {"config", OPTION_TEXT, FOLLOW_AT(serve.config_file), .value = "FILE",                     \
         .help = "a configuration file (JSON), as for `stele serve`"},                             \
        {"set", OPTION_TEXTS, FOLLOW_AT(serve.settings), .value = "NAME=VALUE",                    \
         .help = "one setting, over the configuration file; may be given several times"},          \
        {"stack", OPTION_TEXTS, FOLLOW_AT(serve.stacks), .value = "FILE",                          \
         .help = "an arete stack file, whose views the server shows; may be given several "        \
                 "times"},                                                                         \
    {                                                                                              \
        "insecure", OPTION_FLAG, FOLLOW_AT(serve.insecure),                                        \
            .help = "allow addresses that other machines can reach without authentication"         \
    }

/* Whether the token of a replica can be read again later; else it is told. */
bool follow_token_stays(const struct follow_options *options);
/* Be the server of these options; with `replica`, one that follows options->from. */
int follow_run(const struct follow_options *options, bool replica, const struct serve_watch *watch);
/* Whether it is a server, not a file. */
bool follow_is_url(const char *from);

#endif
