/*
 * api: the functions of include/stele/stele.h, on top of server. This header is for the programs of
 * this repository, which may use more than the public one has.
 */
#ifndef API_API_H
#define API_API_H

#include "config/config.h"
#include "stele/stele.h"

#include <stdatomic.h>

/* The configuration that stele_open would use, with relative paths from `folder` (struct config);
 * config_fini is due when it succeeds. */
bool api_configure(const stele_options *options, int folder, struct config *config,
                   struct error *error);

/* stele_open; when the flag, which outlives the call, goes up while views are built, it ends
 * between two steps, and *given_up is set. */
stele *api_open_unless(const stele_options *options, const atomic_bool *give_up, bool *given_up,
                       stele_error *error);

/* Whether a store is well: the loop answers, which is awaited, and the writer has worked on no
 * transaction for longer than `most_us`. */
bool api_is_well(stele *store, uint64_t most_us, struct error *error);
/* How many messages or changes a store is behind the log that it follows, and how far it is;
 * whether it had all of it, at some time. The loop's answer is awaited. */
bool api_lag(stele *store, int64_t *behind, int64_t *position, bool *has_all, struct error *error);
/* Whether an address of a store speaks TLS: the one for health, or the main one. */
bool api_is_secure(const stele *store, bool health);

#endif
