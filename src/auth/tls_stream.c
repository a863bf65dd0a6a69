#include "auth/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
};

struct tls_stream {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

enum {
    TAKE = 16 * 1024, /* bytes that one BIO_write takes at most */
    KEPT = 8 * 1024   /* the most memory that a BIO keeps while it is empty */
};

/* The library's last words, which are taken out of its queue. */
static void library_error(struct error *error, const char *what)
{
    char reason[160] = "the connection ended";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    error_set(error, ERROR_NETWORK, "%s: %s", what, reason);
}

/* ---- contexts ---- */

/* Our bytes are HTTP/1.1, so nothing else is agreed on; a client that offers none of it goes on
 * without. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned int offered_length,
                           void *argument)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *found = NULL;
    (void)ssl;
    (void)argument;
    if (SSL_select_next_proto(&found, chosen_length, ours, sizeof ours - 1, offered,
                              offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

struct tls_context *tls_context_new(struct certificate *const *shown, struct error *error)
{
    struct tls_context *context = memory_new(sizeof *context);
    if (context)
        context->ssl = SSL_CTX_new(TLS_server_method());
    if (!context || !context->ssl) {
        error_set(error, ERROR_MEMORY, "out of memory while preparing TLS");
    } else if (certificate_prepare(context->ssl, shown, error)) {
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, NULL);
        /* Buffers of an idle connection are given back: 34 KB each. */
        SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
        return context;
    }
    tls_context_free(context);
    return NULL;
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl);
    memory_free(context);
}

/* ---- streams ---- */

static BIO *new_bio(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio)
        BIO_set_mem_eof_return(bio, -1); /* an empty one means "later", not the end */
    return bio;
}

static bool attach(struct tls_stream *stream)
{
    stream->in = new_bio();
    stream->out = new_bio();
    if (!stream->in || !stream->out) {
        BIO_free(stream->in);
        BIO_free(stream->out);
        return false;
    }
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    return true;
}

/* A BIO never gives memory back, and clears all of it when it is reset: a new one is to take the
 * place of one that has grown. */
static bool has_grown(BIO *bio)
{
    BUF_MEM *memory = NULL;
    return BIO_get_mem_ptr(bio, &memory) > 0 && memory && memory->max > KEPT;
}

/* All was read of what was received. */
static void shrink_in(struct tls_stream *stream)
{
    BIO *fresh = !BIO_pending(stream->in) && has_grown(stream->in) ? new_bio() : NULL;
    if (!fresh)
        return;
    SSL_set0_rbio(stream->ssl, fresh); /* frees the old one */
    stream->in = fresh;
}

static struct tls_stream *new_stream(SSL_CTX *context)
{
    struct tls_stream *stream = memory_new(sizeof *stream);
    if (!stream)
        return NULL;
    stream->ssl = SSL_new(context);
    if (stream->ssl && attach(stream))
        return stream;
    tls_stream_free(stream);
    return NULL;
}

struct tls_stream *tls_stream_new(struct tls_context *context)
{
    struct tls_stream *stream = new_stream(context->ssl);
    if (stream)
        SSL_set_accept_state(stream->ssl);
    return stream;
}

void tls_stream_free(struct tls_stream *stream)
{
    if (!stream)
        return;
    SSL_free(stream->ssl);
    memory_free(stream);
}

bool tls_stream_receive(struct tls_stream *stream, struct span bytes)
{
    for (size_t at = 0; at < bytes.length;) {
        size_t piece = bytes.length - at < TAKE ? bytes.length - at : TAKE;
        if (BIO_write(stream->in, bytes.data + at, (int)piece) != (int)piece)
            return false;
        at += piece;
    }
    return true;
}

int64_t tls_stream_read(struct tls_stream *stream, char *room, size_t size, struct error *error)
{
    size_t got = 0;
    error->code = ERROR_NONE;
    ERR_clear_error();
    int result = SSL_read_ex(stream->ssl, room, size, &got);
    if (result > 0)
        return (int64_t)got;
    int reason = SSL_get_error(stream->ssl, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        shrink_in(stream);
        return 0;
    }
    if (reason != SSL_ERROR_ZERO_RETURN)
        library_error(error, SSL_is_init_finished(stream->ssl) ? "TLS failed"
                                                               : "the TLS handshake failed");
    return -1;
}

bool tls_stream_write(struct tls_stream *stream, struct span bytes)
{
    size_t written = 0;
    ERR_clear_error();
    return !bytes.length || (SSL_write_ex(stream->ssl, bytes.data, bytes.length, &written) > 0 &&
                             written == bytes.length);
}

void tls_stream_end(struct tls_stream *stream)
{
    if (SSL_is_init_finished(stream->ssl))
        SSL_shutdown(stream->ssl);
    ERR_clear_error();
}

struct span tls_stream_output(struct tls_stream *stream)
{
    char *data = NULL;
    long length = BIO_get_mem_data(stream->out, &data);
    return span_make(data, length > 0 ? (size_t)length : 0);
}

void tls_stream_sent(struct tls_stream *stream)
{
    BIO *fresh = has_grown(stream->out) ? new_bio() : NULL;
    if (fresh) {
        SSL_set0_wbio(stream->ssl, fresh); /* frees the old one */
        stream->out = fresh;
    } else {
        (void)BIO_reset(stream->out);
    }
}

bool tls_stream_is_ready(const struct tls_stream *stream)
{
    return SSL_is_init_finished(stream->ssl);
}

/* ---- a handshake in memory ---- */

static bool pass_on(struct tls_stream *from, struct tls_stream *to)
{
    bool done = tls_stream_receive(to, tls_stream_output(from));
    tls_stream_sent(from);
    return done;
}

static bool shake(struct tls_stream *server, struct tls_stream *client, struct error *error)
{
    enum { MOST_FLIGHTS = 8 };
    char nothing[1];
    for (int i = 0; i < MOST_FLIGHTS; i++) {
        if (tls_stream_read(client, nothing, sizeof nothing, error) < 0 ||
            !pass_on(client, server) ||
            tls_stream_read(server, nothing, sizeof nothing, error) < 0 || !pass_on(server, client))
            return false;
        if (tls_stream_is_ready(server) && tls_stream_is_ready(client))
            return true;
    }
    return error_set(error, ERROR_CONFIGURATION, "the handshake does not end");
}

/* A client of today's strength that asks nobody who signed the certificate: that is the operator's
 * matter. */
static struct tls_stream *new_client(SSL_CTX **context)
{
    *context = SSL_CTX_new(TLS_client_method());
    struct tls_stream *client = *context ? new_stream(*context) : NULL;
    if (client) {
        SSL_set_connect_state(client->ssl);
        SSL_set_verify(client->ssl, SSL_VERIFY_NONE, NULL);
    }
    return client;
}

bool tls_try(struct certificate *certificate, struct error *error)
{
    struct certificate *shown = certificate;
    SSL_CTX *client_context = NULL;
    if (!certificate_is_for_servers(certificate, error))
        return false;
    struct tls_context *context = tls_context_new(&shown, error);
    struct tls_stream *server = context ? tls_stream_new(context) : NULL;
    struct tls_stream *client = server ? new_client(&client_context) : NULL;
    bool good = false;
    if (client)
        good = shake(server, client, error);
    else if (context)
        error_set(error, ERROR_MEMORY, "out of memory while trying a certificate");
    tls_stream_free(client);
    tls_stream_free(server);
    SSL_CTX_free(client_context);
    tls_context_free(context);
    return good;
}
