#include "auth/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { MOST_IN_CHAIN = 16, NAME_LIMIT = 1024 };

/* For TLS 1.2; 1.3 has only such. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct certificate {
    X509 *own;
    STACK_OF(X509) * issuers;
    EVP_PKEY *key;
    int64_t valid_from, valid_to;
};

/* ---- reading ---- */

static BIO *open_bytes(struct span pem, struct error *error)
{
    BIO *bytes = pem.length <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.length) : NULL;
    if (!bytes)
        error_set(error, ERROR_MEMORY, "out of memory while reading a certificate");
    return bytes;
}

static int64_t unix_seconds(const ASN1_TIME *time)
{
    struct tm parts = {0};
    return ASN1_TIME_to_tm(time, &parts) ? (int64_t)timegm(&parts) : 0;
}

static void narrow_validity(struct certificate *certificate, const X509 *one)
{
    int64_t from = unix_seconds(X509_get0_notBefore(one));
    int64_t to = unix_seconds(X509_get0_notAfter(one));
    if (from > certificate->valid_from)
        certificate->valid_from = from;
    if (to < certificate->valid_to)
        certificate->valid_to = to;
}

static bool read_issuers(struct certificate *certificate, BIO *bytes, struct error *error)
{
    X509 *one;
    while ((one = PEM_read_bio_X509(bytes, NULL, NULL, NULL))) {
        if (sk_X509_num(certificate->issuers) >= MOST_IN_CHAIN) {
            X509_free(one);
            return error_set(error, ERROR_CONFIGURATION,
                             "has more than %d certificates behind the first; keep those that lead "
                             "to its authority",
                             MOST_IN_CHAIN);
        }
        if (!sk_X509_push(certificate->issuers, one)) {
            X509_free(one);
            return error_set(error, ERROR_MEMORY, "out of memory while reading a certificate");
        }
        narrow_validity(certificate, one);
    }
    /* The end of the file looks like a PEM block that does not start. */
    unsigned long reason = ERR_peek_last_error();
    bool ended =
        ERR_GET_LIB(reason) == ERR_LIB_PEM && ERR_GET_REASON(reason) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return ended || error_set(error, ERROR_CONFIGURATION,
                              "has a damaged certificate behind the first; write the file anew");
}

static bool read_chain(struct certificate *certificate, BIO *bytes, struct error *error)
{
    certificate->issuers = sk_X509_new_null();
    if (!certificate->issuers)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a certificate");
    certificate->own = PEM_read_bio_X509(bytes, NULL, NULL, NULL);
    ERR_clear_error();
    if (!certificate->own)
        return error_set(error, ERROR_CONFIGURATION,
                         "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    certificate->valid_to = INT64_MAX;
    narrow_validity(certificate, certificate->own);
    return read_issuers(certificate, bytes, error);
}

struct certificate *certificate_new(struct span pem, struct error *error)
{
    struct certificate *certificate = memory_new(sizeof *certificate);
    if (!certificate) {
        error_set(error, ERROR_MEMORY, "out of memory while reading a certificate");
        return NULL;
    }
    BIO *bytes = open_bytes(pem, error);
    bool good = bytes && read_chain(certificate, bytes, error);
    BIO_free(bytes);
    if (good)
        return certificate;
    certificate_free(certificate);
    return NULL;
}

/* Nobody is there to be asked, and OpenSSL would ask on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

bool certificate_add_key(struct certificate *certificate, struct span pem, struct error *error)
{
    bool asked = false;
    BIO *bytes = open_bytes(pem, error);
    if (!bytes)
        return false;
    certificate->key = PEM_read_bio_PrivateKey(bytes, NULL, no_passphrase, &asked);
    BIO_free(bytes);
    bool matches = certificate->key && X509_check_private_key(certificate->own, certificate->key);
    ERR_clear_error();
    if (matches)
        return true;
    if (asked)
        return error_set(error, ERROR_CONFIGURATION,
                         "is locked with a passphrase; write the key without one, in a file that "
                         "only the server can read");
    if (!certificate->key)
        return error_set(error, ERROR_CONFIGURATION,
                         "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
    return error_set(error, ERROR_CONFIGURATION,
                     "is not the key of the certificate; give the pair that was made together");
}

void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    X509_free(certificate->own);
    sk_X509_pop_free(certificate->issuers, X509_free);
    EVP_PKEY_free(certificate->key);
    memory_free(certificate);
}

/* ---- what it says ---- */

struct certificate_validity certificate_validity(const struct certificate *certificate)
{
    return (struct certificate_validity){certificate->valid_from, certificate->valid_to};
}

bool certificate_is_for_servers(const struct certificate *certificate, struct error *error)
{
    return X509_check_purpose(certificate->own, X509_PURPOSE_SSL_SERVER, 0) == 1 ||
           error_set(
               error, ERROR_CONFIGURATION,
               "it is not for TLS servers (its extendedKeyUsage is without serverAuth, or its "
               "keyUsage without digitalSignature)");
}

bool certificate_describe(const struct certificate *certificate, struct buffer *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    BIO *name = BIO_new(BIO_s_mem());
    const char *text = NULL;
    if (name && X509_NAME_print_ex(name, X509_get_subject_name(certificate->own), 0,
                                   XN_FLAG_RFC2253) >= 0) {
        long size = BIO_get_mem_data(name, &text);
        buffer_add(out, text, size < NAME_LIMIT ? (size_t)size : NAME_LIMIT);
    }
    BIO_free(name);
    buffer_add_string(out, " sha256:");
    if (X509_digest(certificate->own, EVP_sha256(), digest, &length))
        for (unsigned int i = 0; i < length; i++)
            buffer_printf(out, "%02x", digest[i]);
    ERR_clear_error();
    return !out->failed;
}

/* ---- TLS ---- */

const char *certificate_problem(void *verification)
{
    int problem = X509_STORE_CTX_get_error(verification);
    return problem == X509_V_OK ? NULL : X509_verify_cert_error_string(problem);
}

static bool refused(struct error *error, const char *what)
{
    char reason[160] = "out of memory";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    return error_set(error, ERROR_CONFIGURATION, "OpenSSL does not take %s: %s", what, reason);
}

/* The list of a context's certificates has a place per kind of key, and none is ever emptied: a new
 * one of another kind would stand beside the old. So the context has none, and each connection is
 * given its own. */
static int choose(SSL *connection, void *shown)
{
    const struct certificate *certificate = *(struct certificate *const *)shown;
    SSL_certs_clear(connection);
    return SSL_use_cert_and_key(connection, certificate->own, certificate->key,
                                certificate->issuers, 1);
}

bool certificate_prepare(void *context, struct certificate *const *shown, struct error *error)
{
    SSL_CTX *tls = context;
    SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* A client comes back by a ticket that it keeps itself; here nothing is kept for it. */
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 1);
    SSL_CTX_set_cert_cb(tls, choose, (void *)shown);
    if (!SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION))
        return refused(error, "TLS 1.2 as the least version");
    return SSL_CTX_set_cipher_list(tls, ciphers) || refused(error, "the list of ciphers");
}
