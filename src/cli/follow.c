/* `stele follow`: a server that is a replica of another one. It is `stele serve` with "log.from".
 */
#include "cli/follow.h"

#include <stdlib.h>

enum { OWN = 3, TEXT_BYTES = 16 * 1024 };

bool follow_is_url(const char *from)
{
    return strncmp(from, "http://", 7) == 0 || strncmp(from, "https://", 8) == 0;
}

static char *make_setting(const char *name, const char *value)
{
    struct buffer text;
    buffer_init(&text, TEXT_BYTES);
    buffer_printf(&text, "%s=%s", name, value);
    char *made = buffer_string(&text) ? buffer_take(&text, NULL) : NULL;
    buffer_fini(&text);
    return made;
}

/* Further settings, in front of those that were given, which hold over them. */
static int run_with(const struct follow_options *options, char **made, size_t count,
                    const struct serve_watch *watch)
{
    struct serve_options serve = options->serve;
    const struct option_texts *given = &options->serve.settings;
    const char **all = memory_new((count + given->count + 1) * sizeof *all);
    if (!all) {
        fprintf(stderr, "stele: out of memory\n");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < count; i++)
        all[i] = made[i];
    for (size_t i = 0; i < given->count; i++)
        all[count + i] = given->items[i];
    serve.settings = (struct option_texts){.items = all, .count = count + given->count};
    int code = serve_run(&serve, watch);
    memory_free(all);
    return code;
}

bool follow_token_stays(const struct follow_options *options)
{
    bool stays = options->access.token_file || !getenv("STELE_TOKEN");
    if (!stays)
        fprintf(stderr, "stele: the token is read again while the server follows, so it must be in "
                        "a file: --token-file FILE, and no STELE_TOKEN\n");
    return stays;
}

int follow_run(const struct follow_options *options, bool replica, const struct serve_watch *watch)
{
    if (replica && !follow_token_stays(options))
        return EXIT_MISUSED;
    const char *const own[OWN][2] = {{"log.from", options->from},
                                     {"log.token_file", options->access.token_file},
                                     {"log.ca_file", options->access.ca}};
    char *made[OWN] = {NULL};
    size_t count = 0;
    bool good = true;
    for (size_t i = 0; replica && i < OWN; i++) {
        if (!own[i][1])
            continue;
        made[count] = make_setting(own[i][0], own[i][1]);
        good = good && made[count++];
    }
    int code = good ? run_with(options, made, count, watch) : EXIT_FAILED;
    if (!good)
        fprintf(stderr, "stele: out of memory\n");
    for (size_t i = 0; i < OWN; i++)
        memory_free(made[i]);
    return code;
}

static int run_follow(int argc, char **argv)
{
    struct follow_options options = {0};
    int code = EXIT_MISUSED;
    if (command_start(&follow_command, argc, argv, &options, &code)) {
        if (!options.from || !options.serve.database)
            fprintf(stderr, "stele follow: whom, and where to? --from URL --db FILE\n");
        else
            code = follow_run(&options, true, NULL);
    }
    memory_free(options.serve.settings.items);
    memory_free(options.serve.stacks.items);
    return code;
}

static const struct command_option options_of_follow[] = {
    {"from", OPTION_TEXT, FOLLOW_AT(from), .value = "URL",
     .help = "the server whose changes are copied, such as https://db.example.org"},
    ACCESS_OPTIONS(struct follow_options),
    FOLLOW_OPTIONS,
    {.name = NULL},
};

const struct command follow_command = {
    .name = "follow",
    .operands = "",
    .summary = "run a replica of another server",
    .notes =
        "The replica copies the log of changes of the other server by HTTP, and serves reads and\n"
        "subscriptions with the same cursors; it takes no writes. Its file is new, or from\n"
        "`stele bootstrap`. Settings that decide what a change does must be as on the other\n"
        "server. The token, which --token-file names, needs the scope admin there.\n",
    .options = options_of_follow,
    .run = run_follow,
};
