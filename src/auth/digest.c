/* Hashes by libcrypto: of the WebSocket handshake, and SHA-256. */
#include "auth/auth_internal.h"
#include "auth/handshake.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <unistd.h>

bool handshake_accept(struct span key, char accept[HANDSHAKE_ACCEPT])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    enum { KEY = 24, KEY_BYTES = 16, PADDED = 18, SHA1 = 20 };
    char text[KEY + sizeof suffix];
    unsigned char bytes[PADDED], digest[EVP_MAX_MD_SIZE], again[KEY + 1];
    if (key.length != KEY || key.data[KEY - 1] != '=' || key.data[KEY - 2] != '=' ||
        EVP_DecodeBlock(bytes, (const unsigned char *)key.data, KEY) != PADDED)
        return false;
    /* Written back it must be the same: bits beyond the 16 bytes would be lost. */
    EVP_EncodeBlock(again, bytes, KEY_BYTES);
    if (memcmp(again, key.data, KEY) != 0)
        return false;
    memcpy(text, key.data, KEY);
    memcpy(text + KEY, suffix, sizeof suffix);
    if (!EVP_Digest(text, KEY + sizeof suffix - 1, digest, NULL, EVP_sha1(), NULL))
        return false;
    EVP_EncodeBlock((unsigned char *)accept, digest, SHA1);
    return true;
}

bool auth_digest(struct span bytes, unsigned char out[DIGEST_BYTES])
{
    size_t length = 0;
    bool done = EVP_Q_digest(NULL, "SHA256", NULL, bytes.data, bytes.length, out, &length) == 1;
    ERR_clear_error();
    return done && length == DIGEST_BYTES;
}

/* Up to the end of the file, or until it is not wanted any more. */
static bool add_file(EVP_MD_CTX *context, int descriptor, const atomic_bool *give_up)
{
    enum { PIECE = 128 * 1024 };
    char *piece = memory_alloc(PIECE);
    ssize_t got = -1;
    off_t at = 0;
    while (piece && !(give_up && atomic_load(give_up)) &&
           (got = pread(descriptor, piece, PIECE, at)) > 0) {
        at += got;
        if (EVP_DigestUpdate(context, piece, (size_t)got) != 1)
            break;
    }
    memory_free(piece);
    return got == 0;
}

bool auth_digest_file(int descriptor, const atomic_bool *give_up, unsigned char out[DIGEST_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                add_file(context, descriptor, give_up) &&
                EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return done;
}
