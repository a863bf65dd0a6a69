/* tls: the certificate and the key that a configuration names, from their files. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "auth/certificate.h"
#include "config/config.h"

/* Read and check both files; *certificate is NULL when the configuration has no TLS.
 * ERROR_CONFIGURATION names the setting, the file and the remedy. Does file work: any thread but
 * the loop at work. */
bool tls_read(const struct config *config, struct certificate **certificate, struct error *error);
/* Log whose it is and until when; as a warning when it is not valid now, or soon will not be. */
void tls_tell(const struct certificate *certificate);
/* The same once a day for the one in force. `next_ms` is kept by the caller, 0 at first. */
void tls_watch(const struct certificate *certificate, int64_t *next_ms);

#endif
