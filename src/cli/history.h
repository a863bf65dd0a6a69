/* The parts of `stele history`: its command line, and where the answers come from. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "cli/access.h"
#include "cli/history_print.h"

struct history_options {
    struct option_texts operands;
    struct access_options access;
    const char *database, *config_file, *url, *as_of;
    int64_t count;
    bool json;
};

struct history_command {
    const struct history_options *options;
    const char *key;
    struct buffer view; /* the id, as text */
    struct history_print print;
    int64_t count; /* printed */
};

/* Print what is asked for, of a database or by a server. */
bool history_of_file(struct history_command *command, struct error *error);
bool history_of_server(struct history_command *command, struct error *error);

#endif
