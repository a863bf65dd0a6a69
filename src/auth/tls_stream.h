/*
 * tls_stream: the server's side of a TLS connection, without a socket. What the socket brought goes
 * in, what it is to send comes out; between them the caller reads and writes plain bytes. With
 * certificate.h the one part that talks to OpenSSL's TLS. A context may be used by one thread.
 */
#ifndef AUTH_TLS_STREAM_H
#define AUTH_TLS_STREAM_H

#include "auth/certificate.h"

struct tls_context;
struct tls_stream;

/* For connections that show the certificate that *shown is when they begin; `shown` is borrowed
 * and must outlive the context. NULL with an error. */
struct tls_context *tls_context_new(struct certificate *const *shown, struct error *error);
/* NULL is fine. All its streams must be freed. */
void tls_context_free(struct tls_context *context);

/* A connection that begins; NULL when out of memory. */
struct tls_stream *tls_stream_new(struct tls_context *context);
void tls_stream_free(struct tls_stream *stream);

/* Give it what came by the socket; false when out of memory. */
bool tls_stream_receive(struct tls_stream *stream, struct span bytes);
/*
 * Plain bytes that came, into `room`: how many. 0: none until more is received. -1: the connection
 * is over; `error` says why, ERROR_NONE that the peer ended it in order. The handshake is made on
 * the way, so tls_stream_output must be looked at after each call.
 */
int64_t tls_stream_read(struct tls_stream *stream, char *room, size_t size, struct error *error);
/* Encrypt plain bytes, all of them, once the handshake is done. false: the connection is broken. */
bool tls_stream_write(struct tls_stream *stream, struct span bytes);
/* Say that nothing more will be written. */
void tls_stream_end(struct tls_stream *stream);
/* What is to be sent by the socket, borrowed until the next call; it is forgotten by
 * tls_stream_sent. What was large gives its memory back then, and once it is read. */
struct span tls_stream_output(struct tls_stream *stream);
void tls_stream_sent(struct tls_stream *stream);
bool tls_stream_is_ready(const struct tls_stream *stream);

/* Shake hands with the certificate in memory, as a client would: whether a connection can come of
 * it. false with what OpenSSL says. Any thread. */
bool tls_try(struct certificate *certificate, struct error *error);

#endif
