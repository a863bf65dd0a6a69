/*
 * One error type for the whole program. A function that can fail returns false (or NULL) and
 * fills the struct error that its caller handed it; the message names the input and the remedy.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/* How a client should go on after an error. */
enum error_retry { RETRY_NEVER, RETRY_LATER, RETRY_FRESH_TOKEN };

/*
 * X(name, wire code, HTTP status, retry). Clients see the wire code in `code`; docs/protocol.md
 * says what each means to a client.
 */
#define ERROR_LIST(X)                                                                              \
    X(NONE, "none", 200, RETRY_NEVER)                                                              \
    X(INTERNAL, "internal-error", 500, RETRY_LATER)                                                \
    X(MEMORY, "out-of-memory", 503, RETRY_LATER)                                                   \
    X(INVALID_MESSAGE, "invalid-message", 400, RETRY_NEVER)                                        \
    X(INVALID_PARAMETER, "invalid-parameter", 400, RETRY_NEVER)                                    \
    X(VIEW_NOT_FOUND, "view-not-found", 404, RETRY_NEVER)                                          \
    X(NOT_FOUND, "not-found", 404, RETRY_NEVER)                                                    \
    X(METHOD_NOT_ALLOWED, "method-not-allowed", 405, RETRY_NEVER)                                  \
    X(TOO_LARGE, "too-large", 413, RETRY_NEVER)                                                    \
    X(LENGTH_REQUIRED, "length-required", 411, RETRY_NEVER)                                        \
    X(TARGET_TOO_LONG, "target-too-long", 414, RETRY_NEVER)                                        \
    X(HEAD_TOO_LARGE, "head-too-large", 431, RETRY_NEVER)                                          \
    X(EXPECTATION, "expectation-failed", 417, RETRY_NEVER)                                         \
    X(UPGRADE_REQUIRED, "upgrade-required", 426, RETRY_NEVER)                                      \
    X(NOT_IMPLEMENTED, "not-implemented", 501, RETRY_NEVER)                                        \
    X(READ_ONLY, "replica-read-only", 501, RETRY_NEVER)                                            \
    X(HTTP_VERSION, "version-not-supported", 505, RETRY_NEVER)                                     \
    X(HOST, "host-not-allowed", 403, RETRY_NEVER)                                                  \
    X(TOO_SLOW, "too-slow", 408, RETRY_LATER)                                                      \
    X(UNSUPPORTED_ENCODING, "unsupported-encoding", 415, RETRY_NEVER)                              \
    X(QUEUE_FULL, "queue-full", 503, RETRY_LATER)                                                  \
    X(OUT_OF_ORDER, "out-of-order", 409, RETRY_LATER)                                              \
    X(PRODUCER_TAKEN, "producer-taken", 403, RETRY_NEVER)                                          \
    X(PRODUCER_LIMIT, "producer-limit-exceeded", 429, RETRY_NEVER)                                 \
    X(KEY_REUSED, "idempotency-key-reused", 422, RETRY_NEVER)                                      \
    X(UNKNOWN_EXPORT, "unknown-export", 400, RETRY_NEVER)                                          \
    X(HISTORY_TRIMMED, "history-trimmed", 410, RETRY_NEVER)                                        \
    X(LOG_GAP, "log-gap", 410, RETRY_NEVER)                                                        \
    X(LOG_REPLACED, "log-replaced", 409, RETRY_NEVER)                                              \
    X(SHUTTING_DOWN, "shutting-down", 503, RETRY_LATER)                                            \
    X(LOG_UNAVAILABLE, "log-unavailable", 503, RETRY_LATER)                                        \
    X(LOG_FORBIDDEN, "log-forbidden", 503, RETRY_LATER)                                            \
    X(NODE_BEHIND, "node-behind", 503, RETRY_LATER)                                                \
    X(CLIENT_ENDED, "client-ended", 503, RETRY_LATER)                                              \
    X(CONNECTION_LIMIT, "connection-limit-exceeded", 429, RETRY_LATER)                             \
    X(SUBSCRIPTION_LIMIT, "subscription-limit-exceeded", 429, RETRY_LATER)                         \
    X(TOKEN_MISSING, "token-missing", 401, RETRY_NEVER)                                            \
    X(TOKEN_MISSING_CLAIM, "token-missing-claim", 400, RETRY_NEVER)                                \
    X(STATIC_TOKEN, "invalid-static-token", 401, RETRY_NEVER)                                      \
    X(TOKEN_EXPIRED, "token-expired", 401, RETRY_FRESH_TOKEN)                                      \
    X(TOKEN_SIGNATURE, "token-invalid-signature", 401, RETRY_FRESH_TOKEN)                          \
    X(TOKEN_ISSUER, "token-invalid-issuer", 401, RETRY_FRESH_TOKEN)                                \
    X(TOKEN_AUDIENCE, "token-invalid-audience", 401, RETRY_FRESH_TOKEN)                            \
    X(TOKEN_KEY, "token-key-not-found", 401, RETRY_FRESH_TOKEN)                                    \
    X(TOKEN_FORMAT, "token-invalid-format", 400, RETRY_FRESH_TOKEN)                                \
    X(ORIGIN_MISMATCH, "origin-mismatch", 403, RETRY_NEVER)                                        \
    X(ORIGIN_REQUIRED, "origin-required", 403, RETRY_NEVER)                                        \
    X(SCOPE_MISSING, "scope-missing", 403, RETRY_NEVER)                                            \
    X(RATE_LIMIT, "rate-limit-exceeded", 429, RETRY_LATER)                                         \
    X(SNAPSHOT_LIMIT, "snapshot-limit-exceeded", 429, RETRY_LATER)                                 \
    X(EGRESS_LIMIT, "egress-limit-exceeded", 429, RETRY_LATER)                                     \
    X(DISK_FULL, "disk-full", 503, RETRY_LATER)                                                    \
    X(DISK_FAILED, "disk-failed", 503, RETRY_LATER)                                                \
    X(FILE_LIMIT, "file-limit-reached", 500, RETRY_NEVER)                                          \
    X(WAL_LIMIT, "wal-limit-exceeded", 503, RETRY_LATER)                                           \
    X(OUTCOME_UNKNOWN, "outcome-unknown", 500, RETRY_NEVER)                                        \
    X(DATABASE, "database-error", 500, RETRY_NEVER)                                                \
    X(DATABASE_NEWER, "database-newer", 500, RETRY_NEVER)                                          \
    X(DATABASE_IN_USE, "database-in-use", 503, RETRY_LATER)                                        \
    X(DATABASE_GONE, "database-gone", 503, RETRY_LATER)                                            \
    X(DATABASE_DAMAGED, "database-damaged", 500, RETRY_NEVER)                                      \
    X(DATABASE_UNUSABLE, "database-unusable", 500, RETRY_NEVER)                                    \
    X(CONFIGURATION, "configuration-error", 500, RETRY_NEVER)                                      \
    X(NETWORK, "network-error", 500, RETRY_LATER)

enum error_code {
#define X(name, wire, status, retry) ERROR_##name,
    ERROR_LIST(X)
#undef X
        ERROR_COUNT
};

enum { ERROR_MESSAGE_SIZE = 512 };

struct error {
    enum error_code code;
    int retry_after; /* seconds until trying again makes sense; 0: by the policy of the code */
    bool by_clock;   /* the refused token may be good: this machine's clock decided */
    char message[ERROR_MESSAGE_SIZE]; /* always NUL-terminated valid UTF-8, cut when too long */
};

/* Set code and message. `error` may be NULL. Always returns false: `return error_set(…);`. */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " before the present message. Always returns false. */
bool error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The checker sees one file at a time, and must know that no path goes on behind an error. */
#define error_set(...) (error_set(__VA_ARGS__), false)
#define error_prefix(...) (error_prefix(__VA_ARGS__), false)
#endif

/* The meaning of an errno, with the remedy if a limit of the process or the system is the cause
 * (EMFILE, ENFILE, EFBIG, ENOSPC, EDQUOT). Lives as long as strerror's text. */
const char *error_reason(int number);

/* What clients are told of a code. A number that is no code, e.g. from a corrupt row, is an
 * internal error. */
struct error_kind {
    const char *wire;
    int http_status;
    enum error_retry retry;
};
const struct error_kind *error_kind(enum error_code code);
/* The retry_after for a client: the error's own, else 1 if its code is worth trying again later;
 * -1: none. */
int error_retry_after(const struct error *error);

#endif
