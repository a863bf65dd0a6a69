/*
 * Limits without sockets: whose number counts, and every allocation made to fail in turn. What was
 * refused for want of memory must not be counted as if it were there.
 */
#include "access/access.h"
#include "access/allowance.h"
#include "memory_fault.h"
#include "test.h"

enum { MOST_ALLOCATIONS = 200 };

static void configure(struct config *config, const char *const *settings)
{
    struct error error;
    assert_true(config_init(config, &error));
    for (; *settings; settings += 2)
        if (!config_set(config, settings[0], settings[1], &error))
            fail_msg("%s", error.message);
}

static void log_errors_only(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, NULL);
}

TEST_ALL(log_errors_only, NULL)

static int64_t count_of(const struct map *counts, struct span key)
{
    const struct limit_count *count = map_get(counts, key);
    return count ? count->count : 0;
}

static void counts_are(const struct limits *limits, int64_t count)
{
    struct address address;
    assert_true(address_parse(&address, span_of("192.0.2.7")));
    assert_int_equal(limits->connections, count);
    assert_int_equal(count_of(&limits->counts[LIMIT_BY_ADDRESS], address_site(&address)), count);
    assert_int_equal(count_of(&limits->counts[LIMIT_BY_SUBJECT], span_of("anonymous")), count);
    assert_int_equal(count_of(&limits->counts[LIMIT_BY_METERING_KEY], span_of("dev")), count);
    assert_int_equal(count_of(&limits->counts[LIMIT_BY_ORIGIN], span_of("https://a.example")),
                     count);
}

/* Whatever allocation of an arrival fails, the client is refused, told so, and not counted. */
TEST(test_entering_without_memory)
{
    static const char *const settings[] = {"rate_limiting", "on", NULL};
    struct auth_identity *identity = auth_identity_anonymous();
    struct principal principal = {.identity = identity, .address = "192.0.2.7"};
    struct audit_client client = {&principal, "https://a.example", "subscriber"};
    struct audit audit = {0};
    struct config config;
    struct error error;
    bool failed = true;
    configure(&config, settings);
    for (uint64_t nth = 1; failed; nth++) {
        struct limits *limits = limits_new(&config, &audit, &error);
        assert_non_null(limits);
        memory_fail_at(nth, 0);
        bool let_in =
            limits_handshake(limits, &client, &error); /* a window may be shared instead */
        struct limit_entry *place = limits_enter(limits, &client, &error);
        failed = memory_fault_hit();
        memory_fail_at(0, 0);
        assert_true(let_in);
        if (!place)
            assert_int_equal(error.code, ERROR_MEMORY);
        assert_true(place || failed);
        counts_are(limits, place ? 1 : 0);
        limits_leave(place);
        counts_are(limits, 0);
        limits_free(limits);
        assert_true(nth < MOST_ALLOCATIONS);
    }
    auth_identity_release(identity);
    config_fini(&config);
}

TEST(test_starting_without_memory)
{
    static const char *const settings[] = {"trusted_proxies", "10.0.0.0/8, ::1, 192.0.2.1", NULL};
    struct audit audit = {0};
    struct config config;
    struct error error;
    struct limits *limits = NULL;
    configure(&config, settings);
    for (uint64_t nth = 1; !limits; nth++) {
        memory_fail_at(nth, 0);
        limits = limits_new(&config, &audit, &error);
        memory_fail_at(0, 0);
        assert_true(limits || error.code == ERROR_MEMORY);
        assert_true(nth < MOST_ALLOCATIONS);
    }
    assert_int_equal(limits->rules.trusted.count, 3);
    limits_free(limits);
    config_fini(&config);
}

/* All of another configuration, or nothing of it. */
TEST(test_applying_without_memory)
{
    static const char *const settings[] = {"trusted_proxies", "10.0.0.0/8", "max_subscriptions",
                                           "7", NULL};
    struct audit audit = {0};
    struct config config;
    struct error error;
    configure(&config, settings);
    struct limits *limits = limits_new(&config, &audit, &error);
    assert_non_null(limits);
    assert_true(config_set(&config, "trusted_proxies", "10.0.0.0/8 ::1", &error));
    assert_true(config_set(&config, "max_subscriptions", "8", &error));
    bool applied = false;
    for (uint64_t nth = 1; !applied; nth++) {
        memory_fail_at(nth, 0);
        applied = limits_apply(limits, &config, &error);
        memory_fail_at(0, 0);
        assert_int_equal(limits->rules.standard.max_subscriptions, applied ? 8 : 7);
        assert_int_equal(limits->rules.trusted.count, applied ? 2 : 1);
        assert_true(nth < MOST_ALLOCATIONS);
    }
    limits_free(limits);
    config_fini(&config);
}

/* A token's number comes first, be it lower or higher; 0 is none of them, where 0 in the
 * configuration is no limit. */
TEST(test_whose_number_counts)
{
    static const char *const settings[] = {"max_subscriptions", "2", "max_snapshot_rows", "0",
                                           NULL};
    struct principal principal = {.identity = auth_identity_anonymous(), .address = "192.0.2.7"};
    struct auth_limits *own = &principal.identity->limits;
    struct allowance allowance;
    struct audit audit = {0};
    struct config config;
    struct error error;
    configure(&config, settings);
    struct limits *limits = limits_new(&config, &audit, &error);
    allowance = (struct allowance){.limits = limits, .principal = &principal, .kind = "subscriber"};
    assert_true(allowance_has(&allowance, ALLOWANCE_SUBSCRIPTION, 1, &error));
    assert_false(allowance_has(&allowance, ALLOWANCE_SUBSCRIPTION, 2, &error));
    own->max_subscriptions = 5; /* a fresh token, in the middle of the connection */
    assert_true(allowance_has(&allowance, ALLOWANCE_SUBSCRIPTION, 4, &error));
    assert_false(allowance_has(&allowance, ALLOWANCE_SUBSCRIPTION, 5, &error));
    own->max_subscriptions = 0;
    assert_false(allowance_has(&allowance, ALLOWANCE_SUBSCRIPTION, 0, &error));
    assert_true(allowance_has(&allowance, ALLOWANCE_ROWS, INT64_MAX, &error));
    own->max_snapshot_rows = 0;
    assert_true(allowance_has(&allowance, ALLOWANCE_ROWS, 0, &error));
    assert_false(allowance_has(&allowance, ALLOWANCE_ROWS, 1, &error));
    assert_int_equal(error.code, ERROR_SNAPSHOT_LIMIT);
    own->max_messages_per_minute = 0;
    assert_false(allowance_has(&allowance, ALLOWANCE_MESSAGE, 1, &error));
    assert_true(allowance_is_spent(&allowance));
    own->max_bytes_per_minute = 10;
    assert_int_equal(allowance_send(&allowance, 11), 10);
    assert_int_equal(allowance_send(&allowance, 9), 9);
    assert_int_equal(allowance_send(&allowance, 2), 1);
    allowance_overdrawn(&allowance, &error);
    assert_int_equal(error.code, ERROR_EGRESS_LIMIT);
    assert_int_equal(error.retry_after, 6);
    assert_int_equal(counter_get(&audit.limits[AUDIT_LIMIT_SUBSCRIPTIONS]), 3);
    assert_int_equal(counter_get(&audit.limits[AUDIT_LIMIT_SNAPSHOT_ROWS]), 1);
    assert_int_equal(counter_get(&audit.limits[AUDIT_LIMIT_MESSAGES_PER_MINUTE]), 1);
    assert_int_equal(counter_get(&audit.limits[AUDIT_LIMIT_BYTES_PER_MINUTE]), 1);
    principal_fini(&principal);
    limits_free(limits);
    config_fini(&config);
}
