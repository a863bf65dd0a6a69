/*
 * certificate: what the server shows of itself in TLS: a chain of certificates and the key that
 * belongs to the first. Pure as all of auth: the bytes of the files are the caller's matter. With
 * tls_stream.h the one part of the server that talks to OpenSSL's TLS.
 */
#ifndef AUTH_CERTIFICATE_H
#define AUTH_CERTIFICATE_H

#include "base/base.h"

struct certificate;

/* From PEM: the server's own certificate first, then those that lead to its authority.
 * ERROR_CONFIGURATION tells what is wrong and the remedy, without the name of the file. Any
 * thread. */
struct certificate *certificate_new(struct span pem, struct error *error);
/* Its key, from PEM without a passphrase; refused when it is another's. Once. Any thread. */
bool certificate_add_key(struct certificate *certificate, struct span pem, struct error *error);
/* NULL is fine. */
void certificate_free(struct certificate *certificate);

/* Unix seconds from which and up to which the whole chain is valid. */
int64_t certificate_valid_from(const struct certificate *certificate);
int64_t certificate_valid_to(const struct certificate *certificate);
/* Append whose it is, such as "CN = example.org", and its SHA-256, for the log. */
bool certificate_describe(const struct certificate *certificate, struct buffer *out);

/* Whether its extensions let it stand for a TLS server; else ERROR_CONFIGURATION. */
bool certificate_is_for_servers(const struct certificate *certificate, struct error *error);

/* For clients, while a server's certificate is verified (an X509_STORE_CTX): what is wrong with it,
 * in OpenSSL's words; NULL: nothing. A constant. */
const char *certificate_problem(void *verification);

/*
 * Make `context` (an SSL_CTX) speak TLS 1.2 and 1.3, with ciphers that have forward secrecy and
 * authenticated encryption, without renegotiation and without sessions kept in memory. Each
 * handshake shows the certificate that *shown is at that time: who changes it changes what later
 * connections see, whatever kind of key it has; those that are there keep theirs. `shown` must
 * live as long as the context and its connections; it and *shown are the caller's.
 */
bool certificate_prepare(void *context, struct certificate *const *shown, struct error *error);

#endif
