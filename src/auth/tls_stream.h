/*
 * tls_stream: the server's side of a TLS connection, without a socket. Bytes from the socket go in,
 * bytes for the socket come out; between them the caller reads and writes plain bytes.
 * certificate.h and tls_stream.h are the only parts that use OpenSSL's TLS. One thread may use a
 * context.
 */
#ifndef AUTH_TLS_STREAM_H
#define AUTH_TLS_STREAM_H

#include "auth/certificate.h"

struct tls_context;
struct tls_stream;

/* For connections that show the certificate *shown of the moment they begin. `shown` is borrowed
 * and must outlive the context. NULL with an error. */
struct tls_context *tls_context_new(struct certificate *const *shown, struct error *error);
/* NULL is fine. All its streams must be freed. */
void tls_context_free(struct tls_context *context);

/* A connection that begins; NULL when out of memory. */
struct tls_stream *tls_stream_new(struct tls_context *context);
void tls_stream_free(struct tls_stream *stream);

/* Feed bytes from the socket; false when out of memory. */
bool tls_stream_receive(struct tls_stream *stream, struct span bytes);
/*
 * Read plain bytes into `room`; returns how many. 0: none until more is received. -1: the
 * connection is over; `error` has the reason, ERROR_NONE means that the peer ended it in order. The
 * handshake happens on the way, so check tls_stream_output after each call.
 */
int64_t tls_stream_read(struct tls_stream *stream, char *room, size_t size, struct error *error);
/* Encrypt plain bytes, all of them, once the handshake is done. false: the connection is broken. */
bool tls_stream_write(struct tls_stream *stream, struct span bytes);
/* Announce that no more bytes will be written. */
void tls_stream_end(struct tls_stream *stream);
/* Bytes for the socket, borrowed until the next call; tls_stream_sent removes them. Large memory
 * is given back then, and once it is read. */
struct span tls_stream_output(struct tls_stream *stream);
void tls_stream_sent(struct tls_stream *stream);
bool tls_stream_is_ready(const struct tls_stream *stream);

/* Make a handshake with the certificate in memory, as a client would: whether a connection can
 * come of it. false with OpenSSL's reason. Any thread. */
bool tls_try(struct certificate *certificate, struct error *error);

#endif
