/* The place of a message, as the broker tells it: both forms, and what is neither. */
#include "follow/stream.h"
#include "test.h"

TEST(both_forms)
{
    static const char *const good[] = {
        "$JS.ACK.stele.x9Ab.1.4711.17.1700000000123456789.3",
        "$JS.ACK.hub.AbCd.stele.x9Ab.1.4711.17.1700000000123456789.3",
        "$JS.ACK._.AbCd.stele.x9Ab.1.4711.17.1700000000123456789.3.random",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct stream_place place;
        assert_true(stream_place_read(good[i], &place));
        assert_int_equal(place.sequence, 4711);
        assert_int_equal(place.delivery, 17);
        assert_int_equal(place.at, 1700000000123);
        assert_int_equal(place.pending, 3);
    }
}

TEST(what_is_no_place)
{
    static const char *const bad[] = {
        NULL,
        "",
        ".",
        "$JS.FC.stele.x9Ab.1.4711.17.1700000000123456789.3",
        "_INBOX.a.b.c.d.1.2.3.4",
        "$JS.ACK.stele.x9Ab.1.4711.17.1700000000123456789",
        "$JS.ACK.a.stele.x9Ab.1.4711.17.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1.0.17.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1.4711.0.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1.-5.17.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1.x.17.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1.99999999999999999999.17.1700000000123456789.3",
        "$JS.ACK.stele.x9Ab.1...3",
        "$JS.ACK.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct stream_place place;
        if (stream_place_read(bad[i], &place))
            fail_msg("%s is a place", bad[i]);
    }
}
