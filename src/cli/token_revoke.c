/*
 * A token is revoked in the database: by the server that has it open, or, when none has, here.
 * Which of the two it is, is the operator's to say: a command that guesses might write to another
 * file than the server reads.
 */
#include "cli/ask.h"
#include "cli/token.h"
#include "database/database.h"
#include "store/store.h"
#include "terminal/terminal.h"

#include <math.h>
#include <unistd.h>

enum { MOST_IDS = 1000 };

struct revoke_options {
    struct option_texts operands;
    struct access_options access;
    const char *database, *url, *of;
    int64_t expires_at;
};

/* One token to revoke. */
struct target {
    struct span id;
    int64_t expires_at; /* 0: unknown */
};

/* The tokens that were named, or the one of --of. */
struct targets {
    struct target *items;
    size_t count;
    struct buffer text;
    struct tree *claims; /* of --of */
};

/* ---- what is to be revoked ---- */

static bool check_id(struct span id, struct error *error)
{
    if (id.length > 0 && id.length <= STORE_MAX_TOKEN_ID && doc_valid_utf8(id))
        return true;
    return error_set(error, ERROR_INVALID_PARAMETER, "a jti is a text of 1 to %d bytes",
                     STORE_MAX_TOKEN_ID);
}

/* A fraction is rounded up: so long is it remembered. */
static int64_t end_of(const struct tree *claims)
{
    double seconds = tree_real(tree_member(claims, "exp"), 0);
    return seconds > 0 && seconds < (double)(INT64_MAX / 2) ? (int64_t)ceil(seconds) : 0;
}

/* The jti and exp of a token in a file. */
static bool read_target(const char *path, struct targets *targets, struct error *error)
{
    struct buffer claims;
    struct span token;
    buffer_init(&claims, AUTH_MAX_TOKEN_BYTES);
    bool done = token_read_text(path, &targets->text, &token, error) &&
                auth_token_claims(token, &claims, error) &&
                (targets->claims = tree_parse(buffer_span(&claims), error));
    buffer_fini(&claims);
    if (!done)
        return false;
    struct target *target = &targets->items[targets->count++];
    *target = (struct target){.id = tree_string(tree_member(targets->claims, "jti")),
                              .expires_at = end_of(targets->claims)};
    return target->id.data || error_set(error, ERROR_INVALID_PARAMETER,
                                        "the token has no jti, by which it could be revoked");
}

static bool read_targets(const struct revoke_options *options, struct targets *targets,
                         struct error *error)
{
    *targets = (struct targets){
        .items = memory_new((options->operands.count + 1) * sizeof *targets->items)};
    buffer_init(&targets->text, TOKEN_FILE_BYTES);
    if (!targets->items)
        return error_set(error, ERROR_MEMORY, "out of memory");
    if (options->of && !read_target(options->of, targets, error))
        return false;
    for (size_t i = 0; i < options->operands.count; i++)
        targets->items[targets->count++] =
            (struct target){span_of(options->operands.items[i]), options->expires_at};
    for (size_t i = 0; i < targets->count; i++)
        if (!check_id(targets->items[i].id, error))
            return false;
    return true;
}

static void free_targets(struct targets *targets)
{
    tree_free(targets->claims);
    buffer_fini(&targets->text);
    memory_free(targets->items);
}

static void tell(const struct target *target)
{
    printf("revoked ");
    output_text(stdout, target->id);
    putchar('\n');
}

/* ---- in the database ---- */

static bool put(struct store_writer *writer, const struct target *target, struct error *error)
{
    bool kept, more;
    struct store_revocation row = {target->id, target->expires_at, clock_wall_ms()};
    if (!store_revocation_put(writer, &row, &kept, error))
        return false;
    /* Nothing goes by this machine's clock alone, which may be wrong, while there is room. */
    if (!kept && !(store_revocation_trim(writer, row.at / 1000, -1, &more, error) &&
                   store_revocation_put(writer, &row, &kept, error)))
        return false;
    return kept || error_set(error, ERROR_QUEUE_FULL,
                             "%d tokens are revoked, and more are not kept; name when they expire, "
                             "or change the key",
                             STORE_MAX_REVOCATIONS);
}

static bool put_all(struct database *database, const struct targets *targets, struct error *error)
{
    struct store_writer *writer = store_writer_open(database, error);
    bool done = writer && store_begin(writer, error);
    for (size_t i = 0; done && i < targets->count; i++)
        done = put(writer, &targets->items[i], error);
    done = done && store_commit(writer, error);
    if (writer)
        store_writer_close(writer);
    return done;
}

static bool revoke_in_file(const char *path, const struct targets *targets, struct error *error)
{
    const struct database_options options = {.path = path, .keeps_log = true};
    /* Opening would make a new one. */
    if (access(path, F_OK) != 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "there is no database %.200s", path);
    struct database *database = database_open(&options, error);
    if (!database && error->code == ERROR_DATABASE_IN_USE)
        return error_set(error, ERROR_DATABASE_IN_USE,
                         "a server has %.200s open; it revokes the token when it is asked: stele "
                         "token revoke --url URL --token-file FILE JTI",
                         path);
    bool done = database && put_all(database, targets, error);
    if (database)
        database_close(database);
    return done;
}

/* ---- by a server ---- */

static bool ask_for(struct ask *ask, const struct target *target, struct error *error)
{
    struct buffer body;
    struct span answer;
    buffer_init(&body, AUTH_MAX_TOKEN_BYTES);
    buffer_add_string(&body, "{\"jti\":");
    doc_escape(&body, target->id);
    if (target->expires_at)
        buffer_printf(&body, ",\"expires_at\":%lld", (long long)target->expires_at);
    buffer_add_char(&body, '}');
    struct ask_request request = {.path = "/v1/revocations", .body = buffer_span(&body)};
    bool done = ask_server(ask, &request, &answer, error);
    buffer_fini(&body);
    return done;
}

static bool revoke_by_server(const struct revoke_options *options, const struct targets *targets,
                             struct error *error)
{
    struct ask ask;
    bool done = ask_open(&ask, &options->access, options->url, error);
    ask.has_file = true;
    for (size_t i = 0; done && i < targets->count; i++) {
        done = ask_for(&ask, &targets->items[i], error);
        if (done)
            tell(&targets->items[i]);
    }
    ask_close(&ask);
    return done;
}

/* ---- the command ---- */

static bool revoke_all(const struct revoke_options *options, struct error *error)
{
    struct targets targets;
    bool done = read_targets(options, &targets, error);
    if (done && options->database) {
        done = revoke_in_file(options->database, &targets, error);
        for (size_t i = 0; done && i < targets.count; i++)
            tell(&targets.items[i]);
    } else if (done) {
        done = revoke_by_server(options, &targets, error);
    }
    free_targets(&targets);
    return done;
}

static int run_revoke(int argc, char **argv)
{
    struct revoke_options options = {0};
    struct error error = {0};
    int code;
    if (command_start(&token_revoke_command, argc, argv, &options, &code)) {
        if (!options.database == !options.url)
            code = token_misused(&token_revoke_command,
                                 "where? --url URL of the server that has the database open, or "
                                 "--db FILE when none has");
        else if (!options.operands.count && !options.of)
            code = token_misused(&token_revoke_command, "which token? its JTI, or --of FILE");
        else
            code = revoke_all(&options, &error) ? EXIT_FINE : command_failed(&error);
    }
    memory_free(options.operands.items);
    return code;
}

#define AT(field) .offset = offsetof(struct revoke_options, field)
static const struct command_option revoke_options[] = {
    {"url", OPTION_TEXT, AT(url), .value = "URL",
     .help = "the server, such as http://127.0.0.1:8877"},
    ACCESS_OPTIONS(struct revoke_options),
    {"db", OPTION_TEXT, AT(database), .value = "FILE",
     .help = "the database, when no server has it open"},
    {"expires-at", OPTION_NUMBER, AT(expires_at), 1, INT64_MAX / 2, "SECONDS",
     "when the tokens run out, in seconds since 1970; the server keeps the revocation seven days "
     "longer; default for ever"},
    {"of", OPTION_TEXT, AT(of), .value = "FILE",
     .help = "revoke the token in this file, by its jti and exp; - is standard input"},
    {.name = NULL},
};

const struct command token_revoke_command = {
    .name = "token revoke",
    .operands = "[JTI]…",
    .most_operands = MOST_IDS,
    .operands_offset = offsetof(struct revoke_options, operands),
    .summary = "refuse tokens from now on, by their jti",
    .notes = "A server ends the connections of a revoked token at once. When the command reports\n"
             "success, everything is on disk.\n",
    .options = revoke_options,
    .run = run_revoke,
};
