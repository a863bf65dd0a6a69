/* tls: the certificate and the key of a configuration, from their files. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "auth/certificate.h"
#include "config/config.h"

/* Read and check both files; *certificate is NULL if the configuration has no TLS.
 * ERROR_CONFIGURATION names the setting, the file and the remedy. Does file work: any thread but a
 * running loop. */
bool tls_read(const struct config *config, struct certificate **certificate, struct error *error);
/* Log its subject and its end; as a warning if it is not valid now, or soon will not be. */
void tls_tell(const struct certificate *certificate);
/* The same once a day for the one in force. The caller keeps `next_ms`, 0 at first. */
void tls_watch(const struct certificate *certificate, int64_t *next_ms);

#endif
