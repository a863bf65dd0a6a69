#include "cli/token.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct keygen_options {
    struct option_texts operands;
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
    struct buffer key;
    buffer_init(&key, 2 * AUTH_KEY_BYTES);
    auth_key_id(auth_signer_public(signer), id);
    bool done = auth_print_public(auth_signer_public(signer), &key) && buffer_string(&key);
    if (done)
        printf("{\"key\":\"%s\",\"kid\":\"%s\"}\n", key.data, id);
    buffer_fini(&key);
    return done || error_set(error, ERROR_MEMORY, "out of memory");
}

static bool make_key(const char *path, struct error *error)
{
    struct buffer pem;
    struct auth_signer *signer = auth_signer_generate(error);
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
    struct keygen_options options = {0};
    struct error error = {0};
    int code;
    if (!command_start(&token_keygen_command, argc, argv, &options, &code))
        return code;
    bool done = make_key(options.operands.items[0], &error);
    memory_free(options.operands.items);
    return done ? EXIT_FINE : command_failed(&error);
}

const struct command token_keygen_command = {
    .name = "token keygen",
    .operands = "FILE",
    .least_operands = 1,
    .most_operands = 1,
    .operands_offset = offsetof(struct keygen_options, operands),
    .summary = "make a private key",
    .notes =
        "FILE, which must not be there yet, gets the private key as PEM, readable by its owner\n"
        "only. The public key is printed as \"keys\" of the configuration takes it.\n",
    .run = run_keygen,
};
