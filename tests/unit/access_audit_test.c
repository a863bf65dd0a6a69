/* Audit events: their lines hold what docs/logs.md says, and each is counted. */
#include "access/access.h"
#include "stderr_capture.h"
#include "test.h"

static void capture(void)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    stderr_capture();
}

TEST_EACH(capture, stderr_release)

/* What was written since the last call, behind the time of the first line. */
static const char *written(void)
{
    enum { TIME = sizeof "2024-02-29T12:34:56.007Z" };
    const char *text = stderr_captured();
    return strlen(text) > TIME ? text + TIME : "";
}

static struct principal known = {.address = "203.0.113.9"};

static struct audit_client client_of(struct auth_identity *identity)
{
    known.identity = identity;
    return (struct audit_client){&known, "https://a.example", "subscriber"};
}

static void tell(struct audit *audit, enum audit_event event, const struct audit_client *client,
                 const struct error *error)
{
    audit_write(audit, event, &(struct audit_details){.client = client, .error = error});
}

#define KNOWN                                                                                      \
    "client=203.0.113.9 kind=subscriber origin=\"https://a.example\" subject=\"anonymous\" "       \
    "metering_key=\"dev\" jti=\"\""

TEST(handshakes)
{
    struct audit audit = {0};
    struct auth_identity *identity = auth_identity_anonymous();
    struct principal unknown = {.address = "198.51.100.7"};
    struct audit_client client = client_of(identity), stranger = {.principal = &unknown};
    struct error error;
    tell(&audit, AUDIT_ACCEPTED, &client, NULL);
    assert_string_equal(written(), "info audit handshake-accepted " KNOWN "\n");
    error_set(&error, ERROR_TOKEN_EXPIRED, "the token ran out");
    tell(&audit, AUDIT_DENIED, &stranger, &error);
    assert_string_equal(written(), "warning audit handshake-denied client=198.51.100.7 kind=\"\" "
                                   "origin=\"\" subject=\"\" metering_key=\"\" jti=\"\" "
                                   "code=token-expired reason=\"the token ran out\"\n");
    assert_int_equal(counter_get(&audit.attempts[ERROR_NONE]), 1);
    assert_int_equal(counter_get(&audit.attempts[ERROR_TOKEN_EXPIRED]), 1);
    assert_int_equal(counter_get(&audit.events[AUDIT_ACCEPTED]), 1);
    assert_int_equal(counter_get(&audit.events[AUDIT_DENIED]), 1);
    auth_identity_release(identity);
}

TEST(sessions)
{
    struct audit audit = {0};
    struct auth_identity *identity = auth_identity_anonymous();
    struct audit_client client = client_of(identity);
    struct error error;
    error_set(&error, ERROR_SCOPE_MISSING, "no scope");
    audit_write(&audit, AUDIT_SESSION_DENIED,
                &(struct audit_details){.client = &client, .what = "ingest", .error = &error});
    assert_string_equal(written(), "warning audit session-denied " KNOWN
                                   " what=ingest code=scope-missing reason=\"no scope\"\n");
    tell(&audit, AUDIT_SESSION_ENDED, &client, &error);
    assert_string_equal(written(), "warning audit session-ended " KNOWN
                                   " code=scope-missing reason=\"no scope\"\n");
    tell(&audit, AUDIT_REFRESHED, &client, NULL);
    assert_string_equal(written(), "info audit token-refreshed " KNOWN "\n");
    tell(&audit, AUDIT_REFRESH_DENIED, &client, &error);
    assert_string_equal(written(), "warning audit token-refresh-denied " KNOWN
                                   " code=scope-missing reason=\"no scope\"\n");
    audit_write(&audit, AUDIT_REVOKED,
                &(struct audit_details){.client = &client, .token = "an-id"});
    assert_string_equal(written(), "warning audit token-revoked " KNOWN " revoked=\"an-id\"\n");
    /* What goes on within a session is no attempt to come in; a refresh is one. */
    assert_int_equal(counter_get(&audit.attempts[ERROR_SCOPE_MISSING]), 1);
    assert_int_equal(counter_get(&audit.attempts[ERROR_NONE]), 1);
    auth_identity_release(identity);
}

static void refuse(struct audit *audit, const struct error *error, uint64_t now_us)
{
    struct audit_client client = client_of(NULL);
    audit_write(audit, AUDIT_REQUEST_REFUSED,
                &(struct audit_details){.client = &client, .error = error, .now_us = now_us});
}

TEST(refused_requests_are_told_once_in_a_while)
{
    struct audit audit = {0};
    struct error error, other;
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: first");
    error_set(&other, ERROR_OUT_OF_ORDER, "batch 7");
    refuse(&audit, &error, 5);
    assert_non_null(strstr(written(), " code=invalid-message reason=\"line 1: first\" others=0\n"));
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: another");
    for (int i = 0; i < 99; i++)
        refuse(&audit, &error, 5 + 9999999);
    assert_null(strstr(written(), "another"));
    refuse(&audit, &other, 6);
    assert_non_null(strstr(written(), "code=out-of-order reason=\"batch 7\" others=0\n"));
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: later");
    refuse(&audit, &error, 5 + 10000000);
    assert_non_null(strstr(written(), "reason=\"line 1: later\" others=99\n"));
    assert_int_equal(counter_get(&audit.refusals[ERROR_INVALID_MESSAGE]), 101);
    assert_int_equal(counter_get(&audit.events[AUDIT_REQUEST_REFUSED]), 102);
}

TEST(limits)
{
    struct audit audit = {0};
    struct audit_client client = client_of(NULL);
    struct error error;
    error_set(&error, ERROR_RATE_LIMIT, "too many");
    audit_write(&audit, AUDIT_LIMITED,
                &(struct audit_details){.client = &client,
                                        .limit = AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS,
                                        .is_handshake = true,
                                        .error = &error});
    audit_write(&audit, AUDIT_LIMITED,
                &(struct audit_details){.client = &client,
                                        .limit = AUDIT_LIMIT_RATE_MESSAGES,
                                        .is_handshake = false,
                                        .error = &error});
    const char *text = written();
    assert_non_null(strstr(text, "warning audit limit-exceeded client=203.0.113.9 "));
    assert_non_null(strstr(text, " limit=rate_handshakes_per_ip code=rate-limit-exceeded "
                                 "reason=\"too many\"\n"));
    assert_non_null(strstr(text, " limit=rate_messages_per_connection "));
    assert_int_equal(counter_get(&audit.attempts[ERROR_RATE_LIMIT]), 1);
    assert_int_equal(counter_get(&audit.limits[AUDIT_LIMIT_RATE_MESSAGES]), 1);
    assert_int_equal(counter_get(&audit.events[AUDIT_LIMITED]), 2);
}

TEST(keys_and_configuration)
{
    struct audit audit = {0};
    struct error error;
    error_set(&error, ERROR_NETWORK, "no answer");
    struct auth_keys *keys = auth_keys_new();
    audit_write(&audit, AUDIT_KEYS_CHANGED,
                &(struct audit_details){
                    .source = "https://keys.example/jwks", .keys = keys, .kids = "a1 b2"});
    assert_string_equal(written(), "info audit keys-changed source=\"https://keys.example/jwks\" "
                                   "keys=0 kids=\"a1 b2\"\n");
    assert_true(auth_keys_add_jwks(
        keys,
        span_of("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\"},{\"kty\":\"RSA\",\"alg\":\"PS256\"}]}"),
        &error));
    audit_write(&audit, AUDIT_KEYS_CHANGED,
                &(struct audit_details){.source = "file", .keys = keys, .kids = ""});
    assert_string_equal(written(),
                        "info audit keys-changed source=\"file\" keys=0 kids=\"\" passed_over=2 "
                        "first=\"key 1 (kid h) has a kind other than OKP, EC and RSA\"\n");
    audit_write(&audit, AUDIT_KEYS_FAILED,
                &(struct audit_details){.source = "file", .error = &error});
    assert_string_equal(written(), "error audit keys-failed source=\"file\" code=network-error "
                                   "reason=\"no answer\"\n");
    keys->count = 2;
    audit_write(&audit, AUDIT_KEYS_STALE,
                &(struct audit_details){
                    .source = "https://keys.example/jwks", .keys = keys, .seconds = 86400});
    keys->count = 0;
    assert_string_equal(written(), "error audit keys-stale source=\"https://keys.example/jwks\" "
                                   "keys=2 seconds=86400\n");
    audit_write(&audit, AUDIT_RELOADED, &(struct audit_details){.changed = "log_level auth"});
    assert_string_equal(written(),
                        "info audit configuration-reloaded changed=\"log_level auth\"\n");
    tell(&audit, AUDIT_RELOAD_REFUSED, NULL, &error);
    assert_string_equal(written(), "error audit configuration-refused code=network-error "
                                   "reason=\"no answer\"\n");
    auth_keys_release(keys);
}

TEST(a_flood_is_counted_whole)
{
    struct audit audit = {0};
    struct audit_client client = client_of(NULL);
    struct error error;
    error_set(&error, ERROR_ORIGIN_MISMATCH, "not there");
    size_t lines = 0;
    for (int i = 0; i < 5000; i++) {
        tell(&audit, AUDIT_DENIED, &client, &error);
        for (const char *c = i % 100 ? "" : written(); *c; c++)
            lines += *c == '\n';
    }
    /* 1,000 in 10 s, less the one that another test wrote; on a slow machine 10 s may begin anew.
     */
    assert_true(lines >= 900 && lines < 3000);
    assert_int_equal(counter_get(&audit.events[AUDIT_DENIED]), 5000);
    assert_int_equal(counter_get(&audit.attempts[ERROR_ORIGIN_MISMATCH]), 5000);
}
