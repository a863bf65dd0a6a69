#include "cli/token.h"

#include <inttypes.h>
#include <sys/random.h>

enum { DEFAULT_LIFE = 3600, LONGEST_LIFE = 10 * 366 * 86400, CLAIMS_BYTES = AUTH_MAX_TOKEN_BYTES };

struct sign_options {
    const char *key_file;
    const char *subject, *issuer, *scope, *metering_key, *key_class, *deployment_id;
    const char *origin, *client_ip, *plan, *id;
    struct option_texts audiences, views, row_scopes, limits;
    int64_t expires_in, not_before;
};

/* ---- the claims ---- */

static void add_name(struct buffer *out, const char *name)
{
    buffer_printf(out, "%s\"%s\":", out->length > 1 ? "," : "", name);
}

static bool add_text(struct buffer *out, const char *name, const char *text, struct error *error)
{
    if (!text)
        return true;
    if (!doc_valid_utf8(span_of(text)))
        return error_set(error, ERROR_INVALID_PARAMETER, "the text for `%s` is not UTF-8", name);
    add_name(out, name);
    doc_escape(out, span_of(text));
    return true;
}

static bool add_texts(struct buffer *out, const char *name, const struct option_texts *texts,
                      struct error *error)
{
    if (texts->count == 0)
        return true;
    add_name(out, name);
    for (size_t i = 0; i < texts->count; i++) {
        if (!doc_valid_utf8(span_of(texts->items[i])))
            return error_set(error, ERROR_INVALID_PARAMETER, "a text for `%s` is not UTF-8", name);
        buffer_add_char(out, i ? ',' : '[');
        doc_escape(out, span_of(texts->items[i]));
    }
    buffer_add_char(out, ']');
    return true;
}

static bool add_limit(struct buffer *out, const char *text, struct error *error)
{
    static const char *const known[] = {"max_connections", "max_subscriptions", "max_snapshot_rows",
                                        "max_messages_per_minute", "max_bytes_per_minute"};
    const char *equals = strchr(text, '=');
    struct span name = span_make(text, equals ? (size_t)(equals - text) : strlen(text));
    int64_t number;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!span_equal(span_of(known[i]), name))
            continue;
        if (!equals || !typed_number(span_of(equals + 1), &number) || number < 0)
            return error_set(error, ERROR_INVALID_PARAMETER,
                             "--limit %s needs a whole number from 0 on: %s=N", known[i], known[i]);
        buffer_printf(out, "\"%s\":%" PRId64, known[i], number);
        return true;
    }
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "there is no limit \"%.60s\"; there are max_connections, max_subscriptions, "
                     "max_snapshot_rows, max_messages_per_minute and max_bytes_per_minute",
                     text);
}

static bool add_limits(struct buffer *out, const struct option_texts *limits, struct error *error)
{
    if (limits->count == 0)
        return true;
    add_name(out, "limits");
    for (size_t i = 0; i < limits->count; i++) {
        buffer_add_char(out, i ? ',' : '{');
        if (!add_limit(out, limits->items[i], error))
            return false;
    }
    buffer_add_char(out, '}');
    return true;
}

/* So that each token can be revoked. */
static bool make_id(char id[33], struct error *error)
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(error, ERROR_INTERNAL, "the system gives no random numbers");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static bool add_audience(struct buffer *out, const struct option_texts *audiences,
                         struct error *error)
{
    return audiences->count == 1 ? add_text(out, "aud", audiences->items[0], error)
                                 : add_texts(out, "aud", audiences, error);
}

static bool check_times(const struct sign_options *options, int64_t now, struct error *error)
{
    if (options->not_before >= now + options->expires_in)
        return error_set(error, ERROR_INVALID_PARAMETER,
                         "--not-before %" PRId64 " is behind the token's end, %" PRId64
                         ": it must be in seconds since 1970%s",
                         options->not_before, now + options->expires_in,
                         options->not_before / 1000 > now / 2
                             ? ", not in milliseconds"
                             : "; make the token live longer by --expires-in");
    return true;
}

static bool print_claims(const struct sign_options *options, int64_t now, struct buffer *out,
                         struct error *error)
{
    char id[33];
    if (!check_times(options, now, error) || !make_id(id, error))
        return false;
    buffer_add_char(out, '{');
    bool done = add_text(out, "iss", options->issuer, error) &&
                add_text(out, "sub", options->subject, error) &&
                add_audience(out, &options->audiences, error);
    buffer_printf(out, "%s\"iat\":%" PRId64 ",\"nbf\":%" PRId64 ",\"exp\":%" PRId64,
                  out->length > 1 ? "," : "", now,
                  options->not_before >= 0 ? options->not_before : now, now + options->expires_in);
    done = done && add_text(out, "jti", options->id ? options->id : id, error) &&
           add_text(out, "scope", options->scope, error) &&
           add_text(out, "metering_key",
                    options->metering_key ? options->metering_key : options->subject, error) &&
           add_text(out, "key_class", options->key_class, error) &&
           add_text(out, "deployment_id", options->deployment_id, error) &&
           add_text(out, "origin", options->origin, error) &&
           add_text(out, "client_ip", options->client_ip, error) &&
           add_limits(out, &options->limits, error) &&
           add_text(out, "plan", options->plan, error) &&
           add_texts(out, "views", &options->views, error) &&
           add_texts(out, "row_scopes", &options->row_scopes, error);
    buffer_add_char(out, '}');
    if (done && out->failed)
        return error_set(error, ERROR_TOO_LARGE, "the token would have more than %d bytes",
                         AUTH_MAX_TOKEN_BYTES);
    return done;
}

/* ---- the token ---- */

/* The verdict of a server on it. */
static bool check(const struct auth_signer *signer, struct span token, int64_t at,
                  struct error *error)
{
    struct auth_keys *keys = auth_keys_new();
    struct auth_identity *identity = NULL;
    if (!keys)
        error_set(error, ERROR_MEMORY, "out of memory");
    else if (auth_keys_add_public(keys, &signer->public, span_make(NULL, 0), 0, error))
        identity = auth_verify(keys, &(struct auth_rules){0}, &(struct auth_request){.now = at},
                               token, error);
    bool done = identity != NULL;
    auth_identity_release(identity);
    auth_keys_release(keys);
    return done || error_prefix(error, "no server would take this token");
}

static bool sign(const struct sign_options *options, struct error *error)
{
    struct buffer claims, token;
    int64_t now = clock_wall_ms() / 1000;
    int64_t from = options->not_before > now ? options->not_before : now;
    struct auth_signer *signer = token_read_signer(options->key_file, error);
    buffer_init(&claims, CLAIMS_BYTES);
    buffer_init(&token, (size_t)2 * AUTH_MAX_TOKEN_BYTES);
    bool done = signer && print_claims(options, now, &claims, error) &&
                auth_sign(signer, buffer_span(&claims), &token, error) &&
                check(signer, buffer_span(&token), from, error);
    if (done)
        printf("%.*s\n", (int)token.length, token.data);
    buffer_fini(&claims);
    buffer_fini(&token);
    auth_signer_free(signer);
    return done;
}

static int run_sign(int argc, char **argv)
{
    struct sign_options options = {.scope = "read", .expires_in = DEFAULT_LIFE, .not_before = -1};
    struct error error = {0};
    int code;
    if (command_start(&token_sign_command, argc, argv, &options, &code)) {
        if (!options.key_file)
            code = token_misused(&token_sign_command, "by which key? --key-file FILE");
        else if (!options.subject)
            code = token_misused(&token_sign_command, "for whom? --subject NAME");
        else
            code = sign(&options, &error) ? EXIT_FINE : command_failed(&error);
    }
    memory_free(options.audiences.items);
    memory_free(options.views.items);
    memory_free(options.row_scopes.items);
    memory_free(options.limits.items);
    return code;
}

#define AT(field) .offset = offsetof(struct sign_options, field)
static const struct command_option sign_options[] = {
    {"key-file", OPTION_TEXT, AT(key_file), .value = "FILE",
     .help = "the private key, as `stele token keygen` makes it; - is standard input"},
    {"subject", OPTION_TEXT, AT(subject), .value = "NAME",
     .help = "sub: the subject of the token; limits count by it"},
    {"scope", OPTION_TEXT, AT(scope), .value = "WORDS",
     .help = "scopes of the token: read, write, admin, with spaces between them; default read"},
    {"expires-in", OPTION_NUMBER, AT(expires_in), 1, LONGEST_LIFE, "SECONDS",
     "how long the token holds, from now; default 3600"},
    {"not-before", OPTION_NUMBER, AT(not_before), 0, INT64_MAX / 2, "SECONDS",
     "nbf: when the token begins to hold, in seconds since 1970; default now"},
    {"issuer", OPTION_TEXT, AT(issuer), .value = "TEXT", .help = "iss"},
    {"audience", OPTION_TEXTS, AT(audiences), .value = "TEXT",
     .help = "aud: the server that the token is for; may be repeated"},
    {"id", OPTION_TEXT, AT(id), .value = "TEXT",
     .help = "jti: the name by which the token can be revoked; default a random one"},
    {"view", OPTION_TEXTS, AT(views), .value = "PATTERN",
     .help = "a pattern of views that the token may see, * stands for any text; may be repeated; "
             "default all"},
    {"row-scope", OPTION_TEXTS, AT(row_scopes), .value = "TEXT",
     .help = "a scope whose rows the token may see; may be repeated"},
    {"limit", OPTION_TEXTS, AT(limits), .value = "NAME=N",
     .help = "a limit instead of the server's; may be repeated"},
    {"metering-key", OPTION_TEXT, AT(metering_key), .value = "TEXT",
     .help = "the key of usage; default the subject"},
    {"key-class", OPTION_TEXT, AT(key_class), .value = "secret|publishable", .help = "for usage"},
    {"deployment-id", OPTION_TEXT, AT(deployment_id), .value = "TEXT", .help = "for usage"},
    {"plan", OPTION_TEXT, AT(plan), .value = "TEXT", .help = "for usage"},
    {"origin", OPTION_TEXT, AT(origin), .value = "ORIGIN",
     .help = "bind the token to web pages of this origin, such as https://app.example"},
    {"client-ip", OPTION_TEXT, AT(client_ip), .value = "ADDRESS",
     .help = "bind the token to this address, for servers that require it"},
    {.name = NULL},
};

const struct command token_sign_command = {
    .name = "token sign",
    .operands = "",
    .summary = "print a token that a private key has signed",
    .options = sign_options,
    .run = run_sign,
};
