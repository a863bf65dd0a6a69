/*
 * libcrypto, and nothing else that includes it. Keys are kept as their 32 bytes and made into an
 * EVP_PKEY for each use: that costs little beside a signature, and leaves no state to share
 * between threads.
 */
#include "auth/auth_internal.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* ---- signatures ---- */

/* Whether one of the errors that libcrypto noted was that memory ran out. Takes them all. It does
 * not note every one: a good signature may then be called a bad one, never the other way round. */
static bool ran_out(void)
{
    bool found = false;
    for (unsigned long each; (each = ERR_get_error());)
        found = found || ERR_GET_REASON(each) == ERR_R_MALLOC_FAILURE;
    return found;
}

enum crypto_answer ed25519_verify(const unsigned char key[AUTH_KEY_BYTES], struct span message,
                                  const unsigned char signature[SIGNATURE_BYTES])
{
    enum crypto_answer answer = CRYPTO_BROKEN;
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, AUTH_KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (public && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1) {
        int result = EVP_DigestVerify(context, signature, SIGNATURE_BYTES,
                                      (const unsigned char *)message.data, message.length);
        answer = result == 1 ? CRYPTO_GOOD : ran_out() ? CRYPTO_BROKEN : CRYPTO_BAD;
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    ERR_clear_error();
    return answer;
}

bool ed25519_sign(const unsigned char seed[SEED_BYTES], struct span message,
                  unsigned char signature[SIGNATURE_BYTES])
{
    size_t length = SIGNATURE_BYTES;
    EVP_PKEY *private = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = private && context && EVP_DigestSignInit(context, NULL, NULL, NULL, private) == 1 &&
                EVP_DigestSign(context, signature, &length, (const unsigned char *)message.data,
                               message.length) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(private);
    ERR_clear_error();
    return done;
}

/* ---- keys ---- */

static bool raw_public(const EVP_PKEY *key, unsigned char bytes[AUTH_KEY_BYTES])
{
    size_t length = AUTH_KEY_BYTES;
    return EVP_PKEY_get_raw_public_key(key, bytes, &length) == 1 && length == AUTH_KEY_BYTES;
}

static bool raw_private(const EVP_PKEY *key, unsigned char bytes[SEED_BYTES])
{
    size_t length = SEED_BYTES;
    return EVP_PKEY_get_raw_private_key(key, bytes, &length) == 1 && length == SEED_BYTES;
}

bool ed25519_generate(unsigned char seed[SEED_BYTES], unsigned char key[AUTH_KEY_BYTES])
{
    EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bool done = made && raw_private(made, seed) && raw_public(made, key);
    EVP_PKEY_free(made);
    ERR_clear_error();
    return done;
}

/* ---- PEM ---- */

/* The decoders keep some failures of an allocation to themselves, so that a good key may be called
 * none; it is never called another one. */

/* An encrypted key is refused; without this libcrypto would ask for its password at the terminal.
 */
static int no_password(char *buffer, int size, int writing, void *argument)
{
    (void)buffer, (void)size, (void)writing, (void)argument;
    return -1;
}

static enum crypto_answer read_pem(struct span pem, unsigned char *seed,
                                   unsigned char key[AUTH_KEY_BYTES])
{
    enum crypto_answer answer = CRYPTO_BROKEN;
    if (pem.length > INT_MAX)
        return CRYPTO_BAD;
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *read = NULL;
    if (input) {
        read = seed ? PEM_read_bio_PrivateKey(input, NULL, no_password, NULL)
                    : PEM_read_bio_PUBKEY(input, NULL, no_password, NULL);
        bool good = read && EVP_PKEY_is_a(read, "ED25519") && raw_public(read, key) &&
                    (!seed || raw_private(read, seed));
        answer = good ? CRYPTO_GOOD : ran_out() ? CRYPTO_BROKEN : CRYPTO_BAD;
    }
    EVP_PKEY_free(read);
    BIO_free(input);
    ERR_clear_error();
    return answer;
}

enum crypto_answer pem_read_public(struct span pem, unsigned char key[AUTH_KEY_BYTES])
{
    return read_pem(pem, NULL, key);
}

enum crypto_answer pem_read_private(struct span pem, unsigned char seed[SEED_BYTES],
                                    unsigned char key[AUTH_KEY_BYTES])
{
    return read_pem(pem, seed, key);
}

bool pem_print_private(const unsigned char seed[SEED_BYTES], struct buffer *out)
{
    char *data = NULL;
    EVP_PKEY *private = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
    BIO *output = BIO_new(BIO_s_secmem());
    bool done = private && output &&
                PEM_write_bio_PrivateKey(output, private, NULL, NULL, 0, NULL, NULL) == 1;
    long length = done ? BIO_get_mem_data(output, &data) : 0;
    done = done && length > 0 && buffer_add(out, data, (size_t)length);
    BIO_free(output);
    EVP_PKEY_free(private);
    ERR_clear_error();
    return done;
}

/* ---- digests ---- */

bool digest(struct span bytes, unsigned char out[DIGEST_BYTES])
{
    size_t length = 0;
    bool done = EVP_Q_digest(NULL, "SHA256", NULL, bytes.data, bytes.length, out, &length) == 1;
    ERR_clear_error();
    return done && length == DIGEST_BYTES;
}

bool auth_digest(struct span bytes, unsigned char out[DIGEST_BYTES])
{
    return digest(bytes, out);
}

bool digests_equal(const unsigned char *left, const unsigned char *right)
{
    return CRYPTO_memcmp(left, right, DIGEST_BYTES) == 0;
}

void wipe(void *memory, size_t size)
{
    OPENSSL_cleanse(memory, size);
}
