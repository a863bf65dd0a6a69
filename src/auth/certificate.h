/*
 * certificate: the server's identity in TLS: a chain of certificates and the key of the first. Pure
 * as all of auth: the caller reads the files. certificate.h and tls_stream.h are the only parts of
 * the server that use OpenSSL's TLS.
 */
#ifndef AUTH_CERTIFICATE_H
#define AUTH_CERTIFICATE_H

#include "base/base.h"

struct certificate;

/* From PEM: the server's own certificate first, then those that lead to its authority.
 * ERROR_CONFIGURATION has the fault and the remedy, without the name of the file. Any thread. */
struct certificate *certificate_new(struct span pem, struct error *error);
/* Add its key, from PEM without a passphrase; another certificate's key is refused. Once. Any
 * thread. */
bool certificate_add_key(struct certificate *certificate, struct span pem, struct error *error);
/* NULL is fine. */
void certificate_free(struct certificate *certificate);

/* Unix seconds from which and up to which the whole chain is valid. */
struct certificate_validity {
    int64_t from, to;
};
struct certificate_validity certificate_validity(const struct certificate *certificate);
/* Append its subject, such as "CN = example.org", and its SHA-256, for the log. */
bool certificate_describe(const struct certificate *certificate, struct buffer *out);

/* Whether its extensions allow a TLS server; else ERROR_CONFIGURATION. */
bool certificate_is_for_servers(const struct certificate *certificate, struct error *error);

/* For clients, while they verify a server's certificate (an X509_STORE_CTX): its fault, in
 * OpenSSL's words; NULL: none. A constant. */
const char *certificate_problem(void *verification);

/*
 * Make `context` (an SSL_CTX) speak TLS 1.2 and 1.3, with ciphers that have forward secrecy and
 * authenticated encryption, without renegotiation and without sessions kept in memory. Each
 * handshake uses the present *shown, whatever kind of key it has. So a change of *shown affects
 * later connections; open ones keep theirs. `shown` must live as long as the context and its
 * connections; it and *shown are the caller's.
 */
bool certificate_prepare(void *context, struct certificate *const *shown, struct error *error);

#endif
