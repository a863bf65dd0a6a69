#include "access/credentials.h"
#include "cli/token.h"
#include "terminal/terminal.h"

struct verify_options {
    struct option_texts operands, keys, key_files;
    const char *config, *token_file, *issuer, *audience, *origin, *client_ip;
    int64_t at;
};

/* The keys and rules that a token is verified by. Zeroed before. */
struct verifier {
    struct auth_keys *keys;
    bool configured; /* by a file, which the rest is of */
    struct config config;
    struct credentials credentials;
    struct auth_claim_names claims;
};

static bool read_config(const char *path, struct verifier *verifier, struct error *error)
{
    struct config *config = &verifier->config;
    if (!config_init(config, error))
        return false;
    verifier->configured = true;
    if (!config_read_file(config, path, error) ||
        !credentials_read(&verifier->credentials, config, error))
        return false;
#define X(member, name) verifier->claims.member = config->auth.member##_claim;
    AUTH_CLAIMS(X)
#undef X
    return auth_keys_add_all(verifier->keys, verifier->credentials.keys, error);
}

static void verifier_fini(struct verifier *verifier)
{
    credentials_fini(&verifier->credentials);
    if (verifier->configured)
        config_fini(&verifier->config);
    auth_keys_release(verifier->keys);
}

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

static void print_texts(struct buffer *out, const char *before, const struct auth_texts *texts)
{
    buffer_add_string(out, before);
    for (size_t i = 0; i < texts->count; i++) {
        buffer_add_string(out, i ? "," : "");
        doc_escape(out, span_of(texts->items[i]));
    }
    buffer_add_char(out, ']');
}

/* The identity that the configuration makes of the claims. */
static bool print_identity(const struct auth_identity *identity, struct error *error)
{
    static const struct {
        enum auth_scope scope;
        const char *name;
    } scopes[] = {{AUTH_READ, "read"}, {AUTH_WRITE, "write"}, {AUTH_ADMIN, "admin"}};
    struct buffer out;
    const char *between = "";
    buffer_init(&out, 4 * (size_t)AUTH_MAX_TOKEN_BYTES);
    buffer_add_string(&out, "{\"subject\":");
    doc_escape(&out, span_of(identity->subject));
    buffer_add_string(&out, ",\"scope\":\"");
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (auth_may(identity, scopes[i].scope)) {
            buffer_printf(&out, "%s%s", between, scopes[i].name);
            between = " ";
        }
    buffer_add_char(&out, '"');
    if (identity->has_views)
        print_texts(&out, ",\"views\":[", &identity->views);
    print_texts(&out, ",\"row_scopes\":[", &identity->row_scopes);
    buffer_add_char(&out, '}');
    bool done = buffer_add_char(&out, '\n') || error_set(error, ERROR_MEMORY, "out of memory");
    if (done)
        output_json(stdout, buffer_span(&out));
    buffer_fini(&out);
    return done;
}

static bool print_claims(struct span token, struct error *error)
{
    struct buffer claims;
    buffer_init(&claims, AUTH_MAX_TOKEN_BYTES);
    bool done = auth_token_claims(token, &claims, error);
    if (done) {
        output_json(stdout, buffer_span(&claims));
        putchar('\n');
    }
    buffer_fini(&claims);
    return done;
}

/* As a server does it: a claim that is asked for is required, the rest is not. */
static bool verify(const struct verify_options *options, const struct verifier *verifier,
                   struct span token, struct error *error)
{
    const struct config_auth *auth = &verifier->config.auth;
    struct auth_rules rules = {.claims = verifier->configured ? &verifier->claims : NULL,
                               .scopes = verifier->credentials.scopes,
                               .base_scopes = verifier->credentials.base_scopes,
                               .issuer = options->issuer ? options->issuer : auth->issuer,
                               .audience = options->audience ? options->audience : auth->audience,
                               .require_origin = options->origin || auth->require_origin,
                               .require_client_ip = options->client_ip || auth->require_client_ip};
    struct auth_request request = {.origin = span_of(options->origin),
                                   .client_ip = span_of(options->client_ip),
                                   .now = options->at >= 0 ? options->at : clock_wall_ms() / 1000};
    struct auth_identity *identity = auth_verify(verifier->keys, &rules, &request, token, error);
    if (!identity)
        return error_prefix(error, "%s", error_kind(error->code)->wire);
    bool done =
        print_claims(token, error) && (!verifier->configured || print_identity(identity, error));
    auth_identity_release(identity);
    return done;
}

static bool verify_all(const struct verify_options *options, struct error *error)
{
    struct buffer file;
    struct span token;
    struct verifier verifier = {.keys = auth_keys_new()};
    buffer_init(&file, TOKEN_FILE_BYTES);
    bool done = (verifier.keys || error_set(error, ERROR_MEMORY, "out of memory")) &&
                (!options->config || read_config(options->config, &verifier, error)) &&
                read_keys(options, verifier.keys, error) &&
                read_token(options, &file, &token, error) &&
                verify(options, &verifier, token, error);
    buffer_fini(&file);
    verifier_fini(&verifier);
    return done;
}

static int run_verify(int argc, char **argv)
{
    struct verify_options options = {.at = -1};
    struct error error = {0};
    int code;
    if (command_start(&token_verify_command, argc, argv, &options, &code)) {
        if (options.keys.count + options.key_files.count == 0 && !options.config)
            code = token_misused(&token_verify_command,
                                 "by which key? --key KEY, --key-file FILE or --config FILE");
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
    {"config", OPTION_TEXT, AT(config), .value = "FILE",
     .help = "a server's configuration: its keys (except those of a URL), the names of its claims "
             "and what it requires; what the token may there is printed, too"},
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
