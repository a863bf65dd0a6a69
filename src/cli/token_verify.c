#include "cli/token.h"

struct verify_options {
    struct option_texts operands, keys, key_files;
    const char *token_file, *issuer, *audience, *origin, *client_ip;
    int64_t at;
};

static bool read_keys(const struct verify_options *options, struct auth_keys *keys,
                      struct error *error)
{
    for (size_t i = 0; i < options->keys.count; i++)
        if (!auth_keys_add(keys, span_of(options->keys.items[i]), span_make(NULL, 0), 0, error))
            return error_prefix(error, "--key");
    for (size_t i = 0; i < options->key_files.count; i++)
        if (!token_add_key_file(keys, options->key_files.items[i], error))
            return false;
    return true;
}

static bool read_token(const struct verify_options *options, struct buffer *file,
                       struct span *token, struct error *error)
{
    *token = options->operands.count ? span_of(options->operands.items[0]) : span_make(NULL, 0);
    if (token->data && strcmp(token->data, "-") != 0)
        return true;
    return token_read_text(options->token_file ? options->token_file : "-", file, token, error);
}

/* As a server does it: what a claim is asked for is required, the rest is not. */
static bool verify(const struct verify_options *options, const struct auth_keys *keys,
                   struct span token, struct error *error)
{
    struct buffer claims;
    struct auth_rules rules = {.issuer = options->issuer,
                               .audience = options->audience,
                               .require_origin = options->origin != NULL,
                               .require_client_ip = options->client_ip != NULL};
    struct auth_request request = {.origin = span_of(options->origin),
                                   .client_ip = span_of(options->client_ip),
                                   .now = options->at >= 0 ? options->at : clock_wall_ms() / 1000};
    struct auth_identity *identity = auth_verify(keys, &rules, &request, token, error);
    if (!identity)
        return error_prefix(error, "%s", error_wire_code(error->code));
    auth_identity_release(identity);
    buffer_init(&claims, AUTH_MAX_TOKEN_BYTES);
    bool done = auth_token_claims(token, &claims, error);
    if (done)
        printf("%.*s\n", (int)claims.length, claims.data);
    buffer_fini(&claims);
    return done;
}

static bool verify_all(const struct verify_options *options, struct error *error)
{
    struct buffer file;
    struct span token;
    struct auth_keys *keys = auth_keys_new();
    buffer_init(&file, TOKEN_FILE_BYTES);
    bool done = (keys || error_set(error, ERROR_MEMORY, "out of memory")) &&
                read_keys(options, keys, error) && read_token(options, &file, &token, error) &&
                verify(options, keys, token, error);
    buffer_fini(&file);
    auth_keys_release(keys);
    return done;
}

static int run_verify(int argc, char **argv)
{
    struct verify_options options = {.at = -1};
    struct error error = {0};
    int code;
    if (command_start(&token_verify_command, argc, argv, &options, &code)) {
        if (options.keys.count + options.key_files.count == 0)
            code =
                token_misused(&token_verify_command, "by which key? --key KEY or --key-file FILE");
        else if (options.operands.count && options.token_file)
            code = token_misused(&token_verify_command,
                                 "either the token itself or --token-file, not both");
        else
            code = verify_all(&options, &error) ? EXIT_FINE : command_failed(&error);
    }
    memory_free(options.operands.items);
    memory_free(options.keys.items);
    memory_free(options.key_files.items);
    return code;
}

#define AT(field) .offset = offsetof(struct verify_options, field)
static const struct command_option verify_options[] = {
    {"key", OPTION_TEXTS, AT(keys), .value = "KEY",
     .help = "a public key of Ed25519 as hex or base64; may be repeated"},
    {"key-file", OPTION_TEXTS, AT(key_files), .value = "FILE",
     .help = "a file with a public or private key, a certificate, or a JWKS; may be repeated"},
    {"token-file", OPTION_TEXT, AT(token_file), .value = "FILE",
     .help = "the file with the token; - is standard input, which is also the default"},
    {"issuer", OPTION_TEXT, AT(issuer), .value = "TEXT",
     .help = "the iss that the token must have"},
    {"audience", OPTION_TEXT, AT(audience), .value = "TEXT",
     .help = "the value that aud must contain"},
    {"origin", OPTION_TEXT, AT(origin), .value = "ORIGIN",
     .help = "the origin that the token must be bound to"},
    {"client-ip", OPTION_TEXT, AT(client_ip), .value = "ADDRESS",
     .help = "the address that the token must be bound to"},
    {"at", OPTION_NUMBER, AT(at), 0, INT64_MAX / 2, "SECONDS",
     "verify as of this time, in seconds since 1970; default now"},
    {.name = NULL},
};

const struct command token_verify_command = {
    .name = "token verify",
    .operands = "[TOKEN]",
    .most_operands = 1,
    .operands_offset = offsetof(struct verify_options, operands),
    .summary = "verify a token as a server would, and print its claims",
    .notes =
        "Only servers know whether the token was revoked. For a refused token the command prints\n"
        "the code that clients get, and the exit code is 1.\n",
    .options = verify_options,
    .run = run_verify,
};
