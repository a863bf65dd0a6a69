#include "cli/token.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct keygen_options {
    struct option_texts operands;
    const char *algorithm;
};

/* ---- the file ---- */

static bool write_all(int file, struct span text)
{
    while (text.length) {
        ssize_t written = write(file, text.data, text.length);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            text = span_make(text.data + written, text.length - (size_t)written);
    }
    return fsync(file) == 0;
}

/* A file that is there is never overwritten: it may hold the only copy of a key in use. */
static bool write_secret(const char *path, struct span text, struct error *error)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return error_set(error, ERROR_INVALID_PARAMETER, "cannot make %.200s: %s", path,
                         error_reason(errno));
    bool done = write_all(file, text) || error_set(error, ERROR_INTERNAL, "cannot write %.200s: %s",
                                                   path, error_reason(errno));
    close(file);
    if (!done)
        unlink(path);
    return done;
}

/* ---- the key ---- */

static bool print_public(const struct auth_signer *signer, struct error *error)
{
    char id[AUTH_KEY_ID_SIZE];
    const struct auth_public *public = &signer->public;
    struct buffer key, line;
    buffer_init(&key, AUTH_MAX_KEY_TEXT);
    buffer_init(&line, 2 * AUTH_MAX_KEY_TEXT);
    bool done = auth_key_id(public, id) && auth_print_public(public, &key);
    buffer_add_string(&line, "{\"key\":");
    doc_escape(&line, buffer_span(&key));
    buffer_printf(&line, ",\"kid\":\"%s\"}", id);
    done = done && buffer_string(&line);
    if (done)
        printf("%s\n", line.data);
    buffer_fini(&key);
    buffer_fini(&line);
    return done || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool make_key(const char *path, enum auth_algorithm algorithm, struct error *error)
{
    struct buffer pem;
    struct auth_signer *signer = auth_signer_generate(algorithm, error);
    buffer_init(&pem, AUTH_MAX_KEY_TEXT);
    bool done = signer && auth_signer_print(signer, &pem, error) &&
                write_secret(path, buffer_span(&pem), error) && print_public(signer, error);
    if (pem.data)
        explicit_bzero(pem.data, pem.capacity);
    buffer_fini(&pem);
    auth_signer_free(signer);
    return done;
}

static int run_keygen(int argc, char **argv)
{
    struct keygen_options options = {.algorithm = "EdDSA"};
    struct error error = {0};
    enum auth_algorithm algorithm;
    int code;
    if (!command_start(&token_keygen_command, argc, argv, &options, &code))
        return code;
    if (!auth_algorithm_read(span_of(options.algorithm), &algorithm))
        code = token_misused(&token_keygen_command, "--alg is EdDSA, ES256 or RS256");
    else
        code = make_key(options.operands.items[0], algorithm, &error) ? EXIT_FINE
                                                                      : command_failed(&error);
    memory_free(options.operands.items);
    return code;
}

static const struct command_option keygen_options[] = {
    {"alg", OPTION_TEXT, offsetof(struct keygen_options, algorithm), .value = "NAME",
     .help = "what it signs with: EdDSA (Ed25519, the default), ES256 (P-256) or RS256 (RSA of "
             "3072 bits)"},
    {.name = NULL},
};

const struct command token_keygen_command = {
    .name = "token keygen",
    .operands = "FILE",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct keygen_options, operands),
    .summary = "make a private key",
    .notes =
        "FILE must not exist. It gets the private key as PEM, and only its owner can read it. The\n"
        "command prints the public key in the form of \"keys\" in the configuration.\n",
    .options = keygen_options,
    .run = run_keygen,
};
