/* The options of the commands that talk to a server: the authorities to trust, and the token. */
#ifndef CLI_ACCESS_H
#define CLI_ACCESS_H

#include "cli/command.h"
#include "client/client.h"

struct access_options {
    const char *ca, *token_file;
};

/* The rows of these options in a list of options, of a struct that has an `access`. */
#define ACCESS_OPTIONS(type)                                                                       \
    {"ca", OPTION_TEXT, .offset = offsetof(type, access.ca), .value = "FILE",                      \
     .help = "for wss:// and https://, the authorities to trust (PEM) instead of those of the "    \
             "system"},                                                                            \
    {                                                                                              \
        "token-file", OPTION_TEXT, .offset = offsetof(type, access.token_file), .value = "FILE",   \
                                   .help = "the file with the token, read for each connection "    \
                                           "(default: the variable STELE_TOKEN)"                   \
    }

/* Also warns, once, on standard error, if a token would go to another machine unencrypted. The
 * texts are borrowed from the options and the environment. */
struct client_access access_read(const struct access_options *options, const char *url);

#endif
