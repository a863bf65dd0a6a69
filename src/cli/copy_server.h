/*
 * A copy of a running server's database, by GET /v1/backup: for `stele backup --from` and `stele
 * bootstrap`.
 */
#ifndef CLI_COPY_SERVER_H
#define CLI_COPY_SERVER_H

#include "cli/access.h"
#include "database/database.h"

#include <stdatomic.h>

struct copy_server {
    const char *url; /* the server's; http(s):// or ws(s):// */
    const struct access_options *access;
    const char *to;
    bool replace, check;
    const atomic_bool *give_up;
};

/* Also shows how far it is. false: nothing is left of the copy. */
bool copy_server(const struct copy_server *copy, struct database_backup_result *result,
                 struct error *error);

#endif
