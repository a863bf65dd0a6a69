#include "cli/access.h"

#include <stdlib.h>

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool leaves_this_machine_bare(const char *url)
{
    const char *host = starts_with(url, "ws://")     ? url + 5
                       : starts_with(url, "http://") ? url + 7
                                                     : NULL;
    return host && !starts_with(host, "127.") && !starts_with(host, "localhost") &&
           !starts_with(host, "[::1]");
}

struct client_access access_read(const struct access_options *options, const char *url)
{
    struct client_access access = {.ca_file = options->ca, .token_file = options->token_file};
    if (!access.token_file)
        access.token = getenv("STELE_TOKEN");
    if ((access.token_file || access.token) && leaves_this_machine_bare(url))
        fprintf(stderr, "stele: the token is sent unencrypted; wss:// would protect it\n");
    return access;
}
