/* Audit events: their lines hold what docs/logs.md says, and each is counted. */
#include "access/audit.h"
#include "stderr_capture.h"
#include "test.h"

static void capture(void)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
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

static struct audit_client known(struct auth_identity *identity)
{
    return (struct audit_client){.address = "203.0.113.9",
                                 .origin = "https://a.example",
                                 .kind = "subscriber",
                                 .identity = identity};
}

#define KNOWN                                                                                      \
    "client=203.0.113.9 kind=subscriber origin=\"https://a.example\" subject=\"anonymous\" "       \
    "metering_key=\"dev\" jti=\"\""

TEST(handshakes)
{
    struct audit audit = {0};
    struct auth_identity *identity = auth_identity_anonymous();
    struct audit_client client = known(identity), stranger = {.address = "198.51.100.7"};
    struct error error;
    audit_accepted(&audit, &client);
    assert_string_equal(written(), "info audit handshake-accepted " KNOWN "\n");
    error_set(&error, ERROR_TOKEN_EXPIRED, "the token ran out");
    audit_denied(&audit, &stranger, &error);
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
    struct audit_client client = known(identity);
    struct error error;
    error_set(&error, ERROR_SCOPE_MISSING, "no scope");
    audit_session_denied(&audit, &client, "ingest", &error);
    assert_string_equal(written(), "warning audit session-denied " KNOWN
                                   " what=ingest code=scope-missing reason=\"no scope\"\n");
    audit_session_ended(&audit, &client, &error);
    assert_string_equal(written(), "warning audit session-ended " KNOWN
                                   " code=scope-missing reason=\"no scope\"\n");
    audit_refreshed(&audit, &client);
    assert_string_equal(written(), "info audit token-refreshed " KNOWN "\n");
    audit_refresh_denied(&audit, &client, &error);
    assert_string_equal(written(), "warning audit token-refresh-denied " KNOWN
                                   " code=scope-missing reason=\"no scope\"\n");
    audit_revoked(&audit, &client, "an-id");
    assert_string_equal(written(), "warning audit token-revoked " KNOWN " revoked=\"an-id\"\n");
    /* What goes on within a session is no attempt to come in; a refresh is one. */
    assert_int_equal(counter_get(&audit.attempts[ERROR_SCOPE_MISSING]), 1);
    assert_int_equal(counter_get(&audit.attempts[ERROR_NONE]), 1);
    auth_identity_release(identity);
}

TEST(refused_requests_are_told_once_in_a_while)
{
    struct audit audit = {0};
    struct audit_client client = known(NULL);
    struct error error, other;
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: first");
    error_set(&other, ERROR_OUT_OF_ORDER, "batch 7");
    audit_request_refused(&audit, &client, &error, 5);
    assert_non_null(strstr(written(), " code=invalid-message reason=\"line 1: first\" others=0\n"));
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: another");
    for (int i = 0; i < 99; i++)
        audit_request_refused(&audit, &client, &error, 5 + 9999999);
    assert_null(strstr(written(), "another"));
    audit_request_refused(&audit, &client, &other, 6);
    assert_non_null(strstr(written(), "code=out-of-order reason=\"batch 7\" others=0\n"));
    error_set(&error, ERROR_INVALID_MESSAGE, "line 1: later");
    audit_request_refused(&audit, &client, &error, 5 + 10000000);
    assert_non_null(strstr(written(), "reason=\"line 1: later\" others=99\n"));
    assert_int_equal(counter_get(&audit.refusals[ERROR_INVALID_MESSAGE]), 101);
    assert_int_equal(counter_get(&audit.events[AUDIT_REQUEST_REFUSED]), 102);
}

TEST(limits)
{
    struct audit audit = {0};
    struct audit_client client = known(NULL);
    struct error error;
    error_set(&error, ERROR_RATE_LIMIT, "too many");
    audit_limited(&audit, &client, AUDIT_LIMIT_RATE_HANDSHAKES_PER_ADDRESS, true, &error);
    audit_limited(&audit, &client, AUDIT_LIMIT_RATE_MESSAGES, false, &error);
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
    audit_keys_changed(&audit, "https://keys.example/jwks", keys, "a1 b2");
    assert_string_equal(written(), "info audit keys-changed source=\"https://keys.example/jwks\" "
                                   "keys=0 kids=\"a1 b2\"\n");
    assert_true(auth_keys_add_jwks(
        keys,
        span_of("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\"},{\"kty\":\"RSA\",\"alg\":\"PS256\"}]}"),
        &error));
    audit_keys_changed(&audit, "file", keys, "");
    assert_string_equal(written(),
                        "info audit keys-changed source=\"file\" keys=0 kids=\"\" passed_over=2 "
                        "first=\"key 1 (kid h) has a kind other than OKP, EC and RSA\"\n");
    auth_keys_release(keys);
    audit_keys_failed(&audit, "file", &error);
    assert_string_equal(written(), "error audit keys-failed source=\"file\" code=network-error "
                                   "reason=\"no answer\"\n");
    audit_keys_stale(&audit, "https://keys.example/jwks", 2, 86400);
    assert_string_equal(written(), "error audit keys-stale source=\"https://keys.example/jwks\" "
                                   "keys=2 seconds=86400\n");
    audit_reloaded(&audit, "log_level auth");
    assert_string_equal(written(),
                        "info audit configuration-reloaded changed=\"log_level auth\"\n");
    audit_reload_refused(&audit, &error);
    assert_string_equal(written(), "error audit configuration-refused code=network-error "
                                   "reason=\"no answer\"\n");
}

TEST(a_flood_is_counted_whole)
{
    struct audit audit = {0};
    struct audit_client client = known(NULL);
    struct error error;
    error_set(&error, ERROR_ORIGIN_MISMATCH, "not there");
    size_t lines = 0;
    for (int i = 0; i < 5000; i++) {
        audit_denied(&audit, &client, &error);
        for (const char *c = i % 100 ? "" : written(); *c; c++)
            lines += *c == '\n';
    }
    /* 1,000 in 10 s, less the one that another test wrote; on a slow machine 10 s may begin anew.
     */
    assert_true(lines >= 900 && lines < 3000);
    assert_int_equal(counter_get(&audit.events[AUDIT_DENIED]), 5000);
    assert_int_equal(counter_get(&audit.attempts[ERROR_ORIGIN_MISMATCH]), 5000);
}
