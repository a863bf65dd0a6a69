/*
 * api: the functions of include/stele/stele.h, on top of server. This header is for the programs
 * of this repository, which may know more than the public one tells.
 */
#ifndef API_API_H
#define API_API_H

#include "server/config.h"
#include "stele/stele.h"

/* The configuration that stele_open would use; config_fini is due when it succeeds. */
bool api_configure(const stele_options *options, struct config *config, struct error *error);

/* Whether a store is alive: the loop answers, which is waited for, and the writer has not been at
 * one transaction for longer than that. */
bool api_is_well(stele *store, uint64_t most_us, struct error *error);
/* Whether the addresses of a store speak TLS. */
bool api_is_secure(const stele *store);
bool api_health_is_secure(const stele *store);

#endif
