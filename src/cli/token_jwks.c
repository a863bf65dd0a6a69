#include "cli/token.h"

enum { JWKS_BYTES = 4 * AUTH_MAX_JWKS_BYTES };

struct jwks_options {
    struct option_texts operands, keys;
};

static bool print_set(const struct jwks_options *options, struct auth_keys *keys,
                      struct error *error)
{
    struct buffer json;
    for (size_t i = 0; i < options->keys.count; i++)
        if (!auth_keys_add(keys, span_of(options->keys.items[i]), span_make(NULL, 0), 0, error))
            return error_prefix(error, "--key");
    for (size_t i = 0; i < options->operands.count; i++)
        if (!token_add_key_file(keys, options->operands.items[i], error))
            return false;
    buffer_init(&json, JWKS_BYTES);
    bool done =
        auth_keys_print_jwks(keys, &json) || error_set(error, ERROR_MEMORY, "out of memory");
    if (done)
        printf("%.*s\n", (int)json.length, json.data);
    buffer_fini(&json);
    return done;
}

static int run_jwks(int argc, char **argv)
{
    struct jwks_options options = {0};
    struct error error = {0};
    int code;
    if (command_start(&token_jwks_command, argc, argv, &options, &code)) {
        struct auth_keys *keys = auth_keys_new();
        if (options.operands.count + options.keys.count == 0)
            code = token_misused(&token_jwks_command, "of which keys? FILE or --key KEY");
        else if (!keys)
            code =
                command_failed(&(struct error){.code = ERROR_MEMORY, .message = "out of memory"});
        else
            code = print_set(&options, keys, &error) ? EXIT_FINE : command_failed(&error);
        auth_keys_release(keys);
    }
    memory_free(options.operands.items);
    memory_free(options.keys.items);
    return code;
}

static const struct command_option jwks_options[] = {
    {"key", OPTION_TEXTS, offsetof(struct jwks_options, keys), .value = "KEY",
     .help = "a public key of Ed25519 as hex or base64; may be repeated"},
    {.name = NULL},
};

const struct command token_jwks_command = {
    .name = "token jwks",
    .operands = "[FILE]…",
    .most_operands = AUTH_MAX_KEYS,
    .operands_offset = offsetof(struct jwks_options, operands),
    .summary = "print public keys as a JWKS",
    .notes =
        "A FILE has a public key, a private key or a JWKS; - is standard input. Of a private key\n"
        "the command prints the public half. Several files become one set.\n",
    .options = jwks_options,
    .run = run_jwks,
};
