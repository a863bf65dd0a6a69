/* Hashes by libcrypto: of the WebSocket handshake, and SHA-256. */
#include "auth/auth_internal.h"
#include "auth/handshake.h"

#include <openssl/err.h>
#include <openssl/evp.h>

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
