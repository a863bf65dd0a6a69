#include "cli/token.h"

#include <errno.h>

enum { STEP = 16 * 1024 };

/* ---- files ---- */

static bool read_all(FILE *file, struct buffer *out, struct error *error)
{
    for (;;) {
        char *room = buffer_reserve(out, STEP);
        if (!room)
            return error_set(error, ERROR_TOO_LARGE, "it is larger than %d bytes",
                             TOKEN_FILE_BYTES);
        size_t got = fread(room, 1, STEP, file);
        out->length += got;
        if (got < STEP)
            break;
    }
    return !ferror(file) || error_set(error, ERROR_INTERNAL, "%s", error_reason(errno));
}

/* Append a whole file; "-" is standard input. */
static bool token_read_file(const char *path, struct buffer *out, struct error *error)
{
    bool is_standard = strcmp(path, "-") == 0;
    FILE *file = is_standard ? stdin : fopen(path, "re");
    if (!file)
        return error_set(error, ERROR_INVALID_PARAMETER, "cannot read %.200s: %s", path,
                         error_reason(errno));
    bool done = read_all(file, out, error);
    if (!is_standard)
        fclose(file);
    if (!done)
        return error_prefix(error, "%.200s", is_standard ? "standard input" : path);
    struct span text = span_without_bom(buffer_span(out));
    if (text.length < out->length)
        memmove(out->data, text.data, text.length);
    out->length = text.length;
    return true;
}

static struct span trim(struct span text)
{
    static const char space[] = " \t\r\n";
    while (text.length && strchr(space, text.data[text.length - 1]))
        text.length--;
    while (text.length && strchr(space, text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    return text;
}

bool token_read_text(const char *path, struct buffer *out, struct span *text, struct error *error)
{
    if (!token_read_file(path, out, error))
        return false;
    *text = trim(buffer_span(out));
    return true;
}

/* ---- keys ---- */

static void forget(struct buffer *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->capacity);
    buffer_fini(secret);
}

struct auth_signer *token_read_signer(const char *path, struct error *error)
{
    struct buffer pem;
    struct auth_signer *signer = NULL;
    buffer_init(&pem, TOKEN_FILE_BYTES + STEP);
    if (token_read_file(path, &pem, error)) {
        signer = auth_signer_read(buffer_span(&pem), error);
        if (!signer)
            error_prefix(error, "%.200s", path);
    }
    forget(&pem);
    return signer;
}

static bool add_public_half(struct auth_keys *keys, struct span pem, struct error *error)
{
    struct auth_signer *signer = auth_signer_read(pem, error);
    bool done = signer && auth_keys_add_public(keys, &signer->public, span_make(NULL, 0), 0, error);
    auth_signer_free(signer);
    return done;
}

/* PKCS #8, or the older forms that openssl still writes. */
static bool is_private(struct span text)
{
    return span_starts_with(text, "-----BEGIN PRIVATE KEY-----") ||
           span_starts_with(text, "-----BEGIN RSA PRIVATE KEY-----") ||
           span_starts_with(text, "-----BEGIN EC PRIVATE KEY-----");
}

bool token_add_key_file(struct auth_keys *keys, const char *path, struct error *error)
{
    struct buffer file;
    struct span text;
    buffer_init(&file, TOKEN_FILE_BYTES + STEP);
    bool done = token_read_text(path, &file, &text, error);
    if (done) {
        if (span_starts_with(text, "{"))
            done = auth_keys_add_jwks(keys, text, error);
        else if (is_private(text))
            done = add_public_half(keys, text, error);
        else
            done = auth_keys_add(keys, text, span_make(NULL, 0), 0, error);
        if (!done)
            error_prefix(error, "%.200s", path);
    }
    forget(&file);
    return done;
}
